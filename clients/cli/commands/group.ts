/** `wochat group`: groups and their members. */
import type { Command } from 'commander'
import type { Result } from '../../../protocol/catalogue/catalogue.ts'
import { WochatError } from '../../../protocol/errors.ts'
import { logKind } from '../../../protocol/ids.ts'
import { type CommonOptions, print, printJson, printTable, userCommand } from '../command.ts'
import { escapeText, formatTime } from '../format.ts'
import type { Session } from '../session.ts'

export function registerGroup(program: Command): void {
  const group = program.command('group').description('groups and their members')
  userCommand(group, 'create <name> [members...]', 'make a group', create)
  userCommand(group, 'info <group>', 'what a group is, and what I am in it', info)
  userCommand(group, 'add <group> <members...>', 'add members', add)
  userCommand(group, 'remove <group> <members...>', 'remove members (admins)', remove)
  userCommand(group, 'leave <group>', 'leave a group', leave)
  userCommand(group, 'list', 'list my groups', list)
  userCommand(group, 'members <group>', 'list the members of a group', listMembers)
  userCommand(group, 'role <group> <uid> <role>', 'make a member an admin, a member or the owner', setRole)
  userCommand(
    group,
    'announce <group> [text]',
    'set the announcement; without a text, take it away',
    announce,
  )
  userCommand(group, 'mute <group> [uid]', 'keep a member, or all but admins, from writing', mute).option(
    '--hours <n>',
    'for how long; 0 ends it',
    parseCount,
    24,
  )
  userCommand(group, 'ban <group> <uid> [reason]', 'remove somebody and keep them out', ban).option(
    '--end',
    'let them come again',
  )
  userCommand(group, 'link <group>', 'make a link by which people join', createLink)
    .option('--hours <n>', 'when it ends', parseCount)
    .option('--uses <n>', 'how many may join by it', parseCount)
  userCommand(group, 'join <link>', 'join by the token of a link, or an open room by its id', join)
}

async function create(session: Session, [name, ...members]: string[], options: CommonOptions): Promise<void> {
  const params = { name: name!, ...(members.length > 0 && { members }) }
  const result = await session.call('groups.create', params).catch(sayWhoWasRefused)
  await (options.json ? printJson(result) : print(result.id))
}

async function add(session: Session, [id, ...members]: string[], options: CommonOptions): Promise<void> {
  const result = await session.call('groups.add', { id: id!, members }).catch(sayWhoWasRefused)
  if (options.json) return printJson(result)
  const waiting = result.waiting ?? []
  if (waiting.length > 0) await print(`waiting for an admin: ${waiting.join(' ')}`)
  else await print(`added: ${result.added.join(' ')}`)
}

/** Says in words who cannot be added, and why: `users_refused: eve is not a friend; nobody is no user`. */
function sayWhoWasRefused(error: unknown): never {
  if (!(error instanceof WochatError) || error.code !== 'users_refused') throw error
  const { users = [] } = (error.details ?? {}) as { users?: { uid: string; code: string }[] }
  const reasons = users.map(({ uid, code }) => `${uid} ${REFUSALS.get(code) ?? `is refused (${code})`}`)
  throw new WochatError('users_refused', reasons.join('; '), { cause: error })
}

const REFUSALS: ReadonlyMap<string, string> = new Map([
  ['unknown_user', 'is no user of this server'],
  ['not_friends', 'is not your friend'],
  ['blocked', 'has blocked you'],
  ['banned', 'is banned from the group'],
])

async function remove(session: Session, [id, ...members]: string[], options: CommonOptions): Promise<void> {
  const result = await session.call('groups.remove', { id: id!, members })
  await (options.json ? printJson(result) : print(`removed: ${result.removed.join(' ')}`))
}

async function leave(session: Session, [id]: string[]): Promise<void> {
  await session.call('groups.leave', { id: id! })
  await print(`left: ${id}`)
}

async function list(session: Session, _: string[], options: CommonOptions): Promise<void> {
  const items: Result<'groups.list'>['items'] = []
  let cursor: string | undefined
  do {
    const page = await session.call('groups.list', cursor === undefined ? {} : { cursor })
    items.push(...page.items)
    cursor = page.cursor
  } while (cursor !== undefined)
  if (options.json) return printJson({ items })
  const rows = items.map((item) => [item.id, item.members, item.owner, formatTime(item.joinedAt), item.name])
  await printTable(['group', 'members', 'owner', 'joined', 'name'], rows)
}

async function listMembers(session: Session, [id]: string[], options: CommonOptions): Promise<void> {
  const members = await readMembers(session, id!)
  if (options.json) return printJson({ members })
  const rows = members.map((member) => [
    member.uid,
    member.role,
    formatTime(member.joinedAt),
    member.mutedUntil === undefined ? '' : formatTime(member.mutedUntil),
    member.nickname ?? '',
  ])
  await printTable(['uid', 'role', 'joined', 'muted until', 'nickname'], rows)
}

async function readMembers(session: Session, id: string): Promise<Result<'groups.members'>['members']> {
  const members: Result<'groups.members'>['members'] = []
  let cursor: string | undefined
  do {
    const page = await session.call('groups.members', { id, ...(cursor !== undefined && { cursor }) })
    members.push(...page.members)
    cursor = page.cursor
  } while (cursor !== undefined)
  return members
}

async function info(session: Session, [id]: string[], options: CommonOptions): Promise<void> {
  const group = await session.call('groups.get', { id: id! })
  if (options.json) return printJson(group)
  const lines: [string, string | undefined][] = [
    ['id', group.id],
    ['name', group.name],
    ['about', group.about],
    ['kind', group.kind],
    ['members', `${group.members}, of them ${group.admins} with the owner are admins`],
    ['owner', group.owner],
    ['I am', group.nickname === undefined ? group.role : `${group.role}, called ${group.nickname}`],
    ['writing', group.whoWrites],
    ['inviting', group.approval ? `${group.whoInvites}, with approval` : group.whoInvites],
    ['muted until', group.mutedUntil === undefined ? undefined : formatTime(group.mutedUntil)],
    ['I am muted until', group.iAmMutedUntil === undefined ? undefined : formatTime(group.iAmMutedUntil)],
    ['announcement', group.announcement?.text],
    ['waiting', group.requests === undefined ? undefined : `${group.requests} to join`],
  ]
  for (const [name, value] of lines) {
    if (value !== undefined) await print(`${name.padEnd(17)} ${escapeText(value)}`)
  }
}

async function setRole(session: Session, [id, uid, role]: string[]): Promise<void> {
  if (role === 'owner') await session.call('groups.transfer', { id: id!, uid: uid! })
  else if (role === 'admin' || role === 'member') {
    await session.call('groups.setRole', { id: id!, uid: uid!, role })
  } else throw new WochatError('bad_request', 'role: owner, admin or member')
  await print(`${uid} is ${role === 'member' ? 'a member' : role === 'admin' ? 'an admin' : 'the owner'}`)
}

async function announce(session: Session, [id, text]: string[]): Promise<void> {
  await session.call('groups.announce', { id: id!, text: text ?? null })
  await print(text === undefined ? 'the announcement is gone' : 'announced')
}

const HOUR_MS = 3_600_000

type HourOptions = CommonOptions & { hours?: number; uses?: number }

async function mute(session: Session, [id, uid]: string[], { hours = 24 }: HourOptions): Promise<void> {
  const untilMs = hours === 0 ? null : Date.now() + hours * HOUR_MS
  await session.call('groups.mute', { id: id!, ...(uid !== undefined && { uid }), untilMs })
  const whom = uid ?? 'all but admins'
  await print(untilMs === null ? `may write again: ${whom}` : `muted until ${formatTime(untilMs)}: ${whom}`)
}

async function ban(
  session: Session,
  [id, uid, reason]: string[],
  { end }: CommonOptions & { end?: boolean },
): Promise<void> {
  if (end === true) await session.call('groups.unban', { id: id!, uid: uid! })
  else await session.call('groups.ban', { id: id!, uid: uid!, ...(reason !== undefined && { reason }) })
  await print(end === true ? `may come again: ${uid}` : `banned: ${uid}`)
}

async function createLink(
  session: Session,
  [id]: string[],
  { hours, uses, json }: HourOptions,
): Promise<void> {
  const result = await session.call('groups.createLink', {
    id: id!,
    ...(hours !== undefined && { expiresAt: Date.now() + hours * HOUR_MS }),
    ...(uses !== undefined && { usesMax: uses }),
  })
  await (json ? printJson(result) : print(result.token))
}

async function join(session: Session, [link]: string[], options: CommonOptions): Promise<void> {
  const result = await session.call(
    'groups.join',
    logKind(link!) === 'group' ? { id: link! } : { token: link! },
  )
  if (options.json) return printJson(result)
  await print(result.state === 'joined' ? `joined: ${result.id}` : `an admin of ${result.id} decides`)
}

function parseCount(text: string): number {
  const count = Number(text)
  if (!Number.isSafeInteger(count) || count < 0)
    throw new WochatError('bad_request', `${text} is no whole number`)
  return count
}
