/** How entries and lists look on a terminal. */
import { styleText } from 'node:util'
import type { Entry, Gap } from '../../protocol/entry.ts'

/** Colours for a stream that takes them; plain text for a pipe, a file or NO_COLOR. */
type Paint = (style: 'dim' | 'bold' | 'cyan' | 'yellow', text: string) => string

export function createPaint(stream: NodeJS.WriteStream): Paint {
  return (style, text) => (stream.isTTY ? styleText(style, text, { stream }) : text)
}

export const noPaint: Paint = (_, text) => text

/**
 * Characters that move the cursor, start an escape sequence or turn the direction of writing: text of other people
 * must not drive the terminal.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const DRIVES_TERMINAL = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

/** Text on one line, with nothing in it that a terminal obeys: a line feed shows as `\n`, an escape as `\x1b`. */
export function escapeText(text: string): string {
  return text.replace(DRIVES_TERMINAL, (character) => {
    if (character === '\n') return '\\n'
    const code = character.charCodeAt(0)
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`
  })
}

/** Local time, `2026-11-22 07:01:02`. */
export function formatTime(at: number): string {
  const local = new Date(at - new Date(at).getTimezoneOffset() * 60_000)
  return local.toISOString().slice(0, 19).replace('T', ' ')
}

/** `23 h 55 min` */
export function formatSpan(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  if (seconds < 60) return seconds === 0 && ms > 0 ? `${Math.round(ms)} ms` : `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** `2026-11-22 07:01:02 d:alice:bob 42 alice/phone: Hello!` */
export function formatEntry(entry: Entry, paint: Paint): string {
  return formatAt(`${entry.log} ${entry.seq}`, entry, paint)
}

/** A line of one conversation, whose log need not be said: `2026-11-22 07:01:02 42 alice/phone: Hello! (edited) 👍 2` */
export function formatHistory(entry: Entry, paint: Paint): string {
  return formatAt(String(entry.seq), entry, paint)
}

function formatAt(place: string, entry: Entry, paint: Paint): string {
  const author = entry.device === undefined ? entry.from : `${entry.from}/${entry.device}`
  const when = `${paint('dim', formatTime(entry.at))} ${paint('dim', escapeText(place))}`
  const marks = formatState(entry.state)
  const tail = marks === '' ? '' : ` ${paint('dim', escapeText(marks))}`
  return `${when} ${paint('cyan', escapeText(author))}: ${formatContent(entry)}${tail}`
}

function formatContent({ kind, type, body, state }: Entry): string {
  if (state?.recalled !== undefined) return escapeText(`[${type}, ${state.recalled.reason}]`)
  if (state?.edited?.unseen === true) return escapeText(`[${type}, edited while you were out]`)
  if (kind === 'message') return formatBody(type, body)
  const { seq, body: edited, emoji } = body as { seq?: unknown; body?: unknown; emoji?: unknown }
  if (kind === 'edit' && edited !== undefined) return `[edit of ${Number(seq)}] ${formatBody('text', edited)}`
  if (kind === 'edit' || kind === 'recall') return `[${kind} of ${Number(seq)}]`
  if (kind === 'reaction') return escapeText(`[reaction to ${Number(seq)} ${type}] ${String(emoji)}`)
  return escapeText(`[${kind} ${type}] ${JSON.stringify(body)}`)
}

function formatBody(type: string, body: unknown): string {
  const text = (body as { text?: unknown } | null)?.text
  if (type === 'text' && typeof text === 'string') return escapeText(text)
  return escapeText(`[${type}] ${JSON.stringify(body)}`)
}

/** `(edited) 👍 2` */
function formatState(state: Entry['state']): string {
  const counts = Object.entries(state?.reactions ?? {}).map(([emoji, count]) => `${emoji} ${count}`)
  return [...(state?.edited === undefined ? [] : ['(edited)']), ...counts].join(' ')
}

export function formatGap({ log, from, to, reason }: Gap): string {
  return escapeText(`${log}: entries ${from} to ${to} are not sent (${reason}); see wochat history`)
}

/** Columns as wide as their widest cell; the last one is not padded. */
export function formatTable(header: string[], rows: readonly (string | number)[][], paint: Paint): string {
  const cells = [header, ...rows.map((row) => row.map((cell) => escapeText(String(cell))))]
  const widths = header.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? '').length)))
  const lines = cells.map((row) => {
    const padded = row.map((cell, column) =>
      column === row.length - 1 ? cell : cell.padEnd(widths[column]!),
    )
    return padded.join('  ').trimEnd()
  })
  return [paint('bold', lines[0]!), ...lines.slice(1)].join('\n')
}
