/** `wochat friend`: friends, requests and blocks. */
import type { Command } from 'commander'
import type { Params } from '../../../protocol/catalogue/catalogue.ts'
import { type CommonOptions, print, printJson, printTable, userCommand } from '../command.ts'
import { formatTime } from '../format.ts'
import type { Session } from '../session.ts'

/** Operations that name one other user and answer nothing. */
const ON_A_PEER = {
  accept: ['contacts.accept', 'accept a request', 'accepted'],
  refuse: ['contacts.refuse', 'refuse a request', 'refused'],
  remove: ['contacts.remove', 'end a friendship, or withdraw a request', 'removed'],
  block: ['contacts.block', 'take no more messages and requests from somebody', 'blocked'],
  unblock: ['contacts.unblock', 'take a block back', 'unblocked'],
} as const

export function registerFriend(program: Command): void {
  const friend = program.command('friend').description('friends, requests and blocks')
  userCommand(friend, 'request <uid> [text...]', 'ask somebody to be friends', request)
  for (const [name, [operation, summary, done]] of Object.entries(ON_A_PEER)) {
    userCommand(friend, `${name} <uid>`, summary, async (session, [uid]) => {
      await session.call(operation, { uid: uid! })
      await print(`${done}: ${uid}`)
    })
  }
  userCommand(friend, 'list', 'list friends, open requests and blocks', list)
}

async function request(session: Session, [uid, ...words]: string[], options: CommonOptions): Promise<void> {
  const params: Params<'contacts.request'> = { uid: uid!, ...(words.length > 0 && { text: words.join(' ') }) }
  const result = await session.call('contacts.request', params)
  await (options.json ? printJson(result) : print(`${result.state}: ${uid}`))
}

async function list(session: Session, _: string[], options: CommonOptions): Promise<void> {
  const result = await session.call('contacts.list', {})
  if (options.json) return printJson(result)
  const rows = result.items.map((item) => [
    item.uid,
    item.blocked ? `${item.state}, blocked` : item.state,
    formatTime(item.since),
    item.text ?? '',
  ])
  await printTable(['uid', 'state', 'since', 'text'], rows)
}
