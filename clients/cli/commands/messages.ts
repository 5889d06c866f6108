/** `wochat send`, `history` and `conversations`. */
import { randomUUID } from 'node:crypto'
import type { Command } from 'commander'
import { WochatError } from '../../../protocol/errors.ts'
import { buildDirectLog, parseLog, parseUserId } from '../../../protocol/ids.ts'
import { type CommonOptions, print, printJson, printTable, userCommand } from '../command.ts'
import { createPaint, formatHistory, formatTime } from '../format.ts'
import type { Session } from '../session.ts'
import { parseCount, parseTime } from '../values.ts'

export function registerMessages(program: Command): void {
  userCommand<SendOptions>(
    program,
    'send <to> <text...>',
    'send a text to a uid or a group (g:...)',
    send,
  ).option('--id <id>', 'under this id it is stored once, however often it is sent')
  userCommand<HistoryOptions>(
    program,
    'history <conversation>',
    'page a conversation (a uid or a log)',
    history,
  )
    .option('--before <seq>', 'entries before this one')
    .option('--after <seq>', 'entries after this one')
    .option('--around <seq>', 'this entry with those before and after it')
    .option('--at <time>', 'from a time on, such as 2026-11-22 or 2026-11-22T07:01')
    .option('--kind <kind>', 'only media, files or links')
    .option('--limit <count>', 'how many', '50')
  userCommand<ConversationsOptions>(
    program,
    'conversations',
    'list conversations with what is unread',
    conversations,
  ).option('--limit <count>', 'how many', '100')
}

type SendOptions = CommonOptions & { id?: string }

async function send(session: Session, [to, ...words]: string[], options: SendOptions): Promise<void> {
  const id = options.id ?? randomUUID()
  const sent = await session.call('messages.send', { id, to: to!, text: words.join(' ') })
  await (options.json ? printJson({ id, ...sent }) : print(`${sent.log} ${sent.seq}`))
}

type HistoryOptions = CommonOptions & {
  before?: string
  after?: string
  around?: string
  at?: string
  kind?: string
  limit: string
}

async function history(session: Session, [conversation]: string[], options: HistoryOptions): Promise<void> {
  const page = await session.call('messages.page', {
    log: findLog(session.uid, conversation!),
    limit: parseCount('--limit', options.limit),
    ...(options.before !== undefined && { before: parseCount('--before', options.before) }),
    ...(options.after !== undefined && { after: parseCount('--after', options.after) }),
    ...(options.around !== undefined && { around: parseCount('--around', options.around) }),
    ...(options.at !== undefined && { at: parseTime('--at', options.at) }),
    ...(options.kind !== undefined && { kind: parseKind(options.kind) }),
  })
  if (options.json) return printJson(page)
  const paint = createPaint(process.stdout)
  for (const entry of page.entries) await print(formatHistory(entry, paint))
}

/** A log as it is, or the direct one with a uid. */
function findLog(self: string, conversation: string): string {
  if (parseLog(conversation) !== undefined) return conversation
  const me = parseUserId(self)
  const peer = parseUserId(conversation)
  if (me === undefined || peer === undefined) {
    throw new WochatError('bad_request', `${conversation} is neither a uid nor a conversation`)
  }
  return buildDirectLog(me, peer)
}

const KINDS = ['media', 'files', 'links'] as const

function parseKind(text: string): (typeof KINDS)[number] {
  const kind = KINDS.find((known) => known === text)
  if (kind === undefined) throw new WochatError('bad_request', `--kind: ${KINDS.join(', ')}`)
  return kind
}

type ConversationsOptions = CommonOptions & { limit: string }

async function conversations(session: Session, _: string[], options: ConversationsOptions): Promise<void> {
  const result = await session.call('conversations.list', { limit: parseCount('--limit', options.limit) })
  if (options.json) return printJson(result)
  const rows = result.items.map((item) => [
    item.unread,
    item.head,
    item.last === null ? '' : formatTime(item.last.at),
    item.log,
    item.name ?? item.peer ?? '',
  ])
  await printTable(['unread', 'head', 'last', 'conversation', 'with'], rows)
}
