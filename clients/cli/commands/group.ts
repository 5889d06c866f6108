import type { Command } from 'commander'
import type { Result } from '../../../protocol/catalogue/catalogue.ts'
import { type CommonOptions, print, printJson, printTable, userCommand } from '../command.ts'
import { formatTime } from '../format.ts'
import type { Session } from '../session.ts'

export function registerGroup(program: Command): void {
  const group = program.command('group').description('groups and their members')
  userCommand(group, 'create <name> [members...]', 'make a group', create)
  userCommand(group, 'add <group> <members...>', 'add members', add)
  userCommand(group, 'remove <group> <members...>', 'remove members (the owner only)', remove)
  userCommand(group, 'leave <group>', 'leave a group', leave)
  userCommand(group, 'list', 'list my groups', list)
  userCommand(group, 'members <group>', 'list the members of a group', listMembers)
}

async function create(session: Session, [name, ...members]: string[], options: CommonOptions): Promise<void> {
  const result = await session.call('groups.create', { name: name!, ...(members.length > 0 && { members }) })
  await (options.json ? printJson(result) : print(result.id))
}

async function add(session: Session, [id, ...members]: string[], options: CommonOptions): Promise<void> {
  const result = await session.call('groups.add', { id: id!, members })
  await (options.json ? printJson(result) : print(`added: ${result.added.join(' ')}`))
}

async function remove(session: Session, [id, ...members]: string[], options: CommonOptions): Promise<void> {
  const result = await session.call('groups.remove', { id: id!, members })
  await (options.json ? printJson(result) : print(`removed: ${result.removed.join(' ')}`))
}

async function leave(session: Session, [id]: string[]): Promise<void> {
  await session.call('groups.leave', { id: id! })
  await print(`left: ${id}`)
}

async function list(session: Session, _: string[], options: CommonOptions): Promise<void> {
  const result = await session.call('groups.list', {})
  if (options.json) return printJson(result)
  const rows = result.items.map((item) => [
    item.id,
    item.members,
    item.owner,
    formatTime(item.joinedAt),
    item.name,
  ])
  await printTable(['group', 'members', 'owner', 'joined', 'name'], rows)
}

async function listMembers(session: Session, [id]: string[], options: CommonOptions): Promise<void> {
  const members = await readMembers(session, id!)
  if (options.json) return printJson({ members })
  await printTable(
    ['uid', 'role', 'joined'],
    members.map((member) => [member.uid, member.role, formatTime(member.joinedAt)]),
  )
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
