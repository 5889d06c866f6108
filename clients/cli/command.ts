/** What every client command shares: its options, how it prints and how it fails. */
import type { Command } from 'commander'
import { type ErrorBody, WochatError } from '../../protocol/errors.ts'
import { ClientError } from '../sdk/errors.ts'
import { createPaint, escapeText, formatSpan, formatTable, formatTime } from './format.ts'
import { DEFAULT_URL, openSession, type Session, type SessionOptions } from './session.ts'

export type CommonOptions = SessionOptions & { json?: boolean }

/** Adds the options that say who and where. */
function addCommonOptions(command: Command): Command {
  return command
    .option('--profile <name>', 'the login to use', 'default')
    .option('--url <url>', `HTTP address of the server (of the login, else ${DEFAULT_URL})`)
    .option('--mqtt <url>', 'MQTT address, e.g. mqtt://host:1883 (by WebSocket at --url)')
    .option('--token <jwt>', 'an access token, instead of a login')
    .option('--uid <uid>', 'the user of the token (its own claim)')
    .option('--device <id>', 'the device of the token (its own claim, else cli)')
    .option('--json', 'print JSON, of a failure too')
}

/** A command of a user who is logged in. `positional` are its arguments in order. */
export function userCommand<Options extends CommonOptions>(
  parent: Command,
  usage: string,
  summary: string,
  run: (session: Session, positional: string[], options: Options) => Promise<void>,
): Command {
  const command = addCommonOptions(parent.command(usage).description(summary))
  return command.action((...input: unknown[]) => {
    const options = command.opts<Options>()
    const positional = input.slice(0, -2).flat() as string[]
    return reportFailure(async () => run(await openSession(options), positional, options), options.json)
  })
}

/** One line on standard error, `code: message` or the whole error as JSON, and exit code 1. */
export async function reportFailure(work: () => Promise<void>, json = false): Promise<void> {
  // A reader that left, as in `wochat operations | head`: the write that failed ends the command.
  process.stdout.on('error', () => {})
  try {
    await work()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') return
    process.stderr.write(`${json ? JSON.stringify(describeFailure(error)) : formatFailure(error)}\n`)
    process.exitCode = 1
  }
}

/** `request_refused: ... (again in 23 h 55 min)`, `content_refused: ... (field: name)` */
export function formatFailure(error: unknown): string {
  const { code, message, retryAfterMs, details } = describeFailure(error)
  const notes = [
    ...(retryAfterMs === undefined ? [] : [`again in ${formatSpan(retryAfterMs)}`]),
    ...formatDetails(details),
  ]
  return escapeText(`${code}: ${message}${notes.length === 0 ? '' : ` (${notes.join('; ')})`}`)
}

/** A refusal as the server said it; what happens on this side has a code and a message alone. */
function describeFailure(error: unknown): Omit<ErrorBody, 'code'> & { code: string } {
  if (error instanceof WochatError) return error.toWire()
  if (error instanceof ClientError) return { code: error.code, message: error.message }
  return { code: 'failed', message: error instanceof Error ? error.message : String(error) }
}

function formatDetails(details: unknown): string[] {
  if (details === undefined || details === null) return []
  if (typeof details !== 'object' || Array.isArray(details)) return [JSON.stringify(details)]
  return Object.entries(details).map(([name, value]) => {
    // The end of a suspension, in ms.
    if (name === 'until' && typeof value === 'number') return `until ${formatTime(value)}`
    return `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`
  })
}

/** Resolves when the line is out, so that a slow reader slows what prints. */
export function print(line: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(`${line}\n`, (error) => (error ? reject(error) : resolve()))
  })
}

export function printJson(value: unknown): Promise<void> {
  return print(JSON.stringify(value))
}

export function printTable(header: string[], rows: readonly (string | number)[][]): Promise<void> {
  return print(formatTable(header, rows, createPaint(process.stdout)))
}
