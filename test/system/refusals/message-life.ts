/** What becomes of messages: edits, recall, reactions, pins. */
import type { OperationName, Params } from '../../../protocol/catalogue/catalogue.ts'
import { inLog, ofMessage } from './conversations.ts'
import {
  absent,
  BANNED_WORD,
  foreign,
  NO_FILE,
  NO_SEQ,
  passesOver,
  refuses,
  type Situation,
} from './situation.ts'
import type { Town } from './town.ts'
import { upload } from './town-files.ts'

type Names = Extract<
  OperationName,
  | 'messages.edit'
  | 'messages.recall'
  | 'messages.react'
  | 'messages.reactions'
  | 'messages.pin'
  | 'messages.unpin'
  | 'messages.pins'
>

type Of<P> = (log: string, seq: number) => P

/** Refusals of who may not write any more where the message is. */
const whereNotWelcome = <P>(params: Of<P>): Situation<P>[] => [
  refuses('not_friends', 'of a friendship that ended', (town) =>
    town.as('anna', params(town.direct('anna', 'ex'), town.said.toEx)),
  ),
  refuses('blocked', 'to somebody who has blocked the caller since', (town) =>
    town.as('anna', params(town.direct('anna', 'wall'), town.said.toWall)),
  ),
  refuses('account_inactive', 'to somebody whose account rests', (town) =>
    town.as('anna', params(town.direct('anna', 'sleeper'), town.said.toSleeper)),
  ),
  refuses('not_member', 'by who has left the group', (town) =>
    town.as('left', params(town.groups.ours, town.said.ofLeft)),
  ),
]

/** Who is blocked without knowing it is told what everybody is told, and does nothing. */
const whereSwallowed = <P>(params: Of<P>): Situation<P> => ({
  promise: 'by who is blocked and is not to know',
  outcome: passesOver(),
  prepare: (town) => town.as('pest', params(town.direct('swallower', 'pest'), town.said.swallowed)),
})

const ofNoMessage = <P>(params: Of<P>) =>
  refuses<P>('unknown_entry', 'an entry that is no message', (town) =>
    town.as('member', params(town.groups.ours, 1)),
  )

const ofRecalled = <P>(params: Of<P>) =>
  refuses<P>('recalled', 'one that was recalled', (town) =>
    town.as('anna', params(town.direct('anna', 'ben'), town.said.recalled)),
  )

const edit: Of<Params<'messages.edit'>> = (log, seq) => ({ log, seq, body: { text: 'changed' } })
const react: Of<Params<'messages.react'>> = (log, seq) => ({ log, seq, emoji: '👍', on: true })
const one: Of<{ log: string; seq: number }> = (log, seq) => ({ log, seq })

/** Edits of the last message to ben. */
const editOfMine = (more: (town: Town) => object | Promise<object>) => async (town: Town) =>
  town.as('anna', { ...edit(town.direct('anna', 'ben'), town.said.mine), ...(await more(town)) })

/** As many reactions as one person gives to one message. */
const REACTIONS = ['👍', '🎉', '😀', '🙏', '🚀']

export const messageLifeSituations: { [Name in Names]: Situation<Params<Name>>[] } = {
  'messages.edit': [
    ...inLog((log) => edit(log, 1)),
    ...ofMessage(edit),
    ofNoMessage(edit),
    ofRecalled(edit),
    ...whereNotWelcome(edit),
    refuses('not_author', 'of somebody else', (town) =>
      town.as('anna', edit(town.direct('anna', 'ben'), town.said.bens)),
    ),
    refuses('not_author', 'of a member, by the owner', (town) =>
      town.as('owner', edit(town.groups.ours, town.said.ofMember)),
    ),
    refuses('muted', 'by who is muted since', (town) =>
      town.as('muted', edit(town.groups.ours, town.said.ofMuted)),
    ),
    refuses('not_admin', 'by a member where only admins write since', (town) =>
      town.as('member', edit(town.groups.quiet, town.said.inQuiet)),
    ),
    refuses('too_late', 'one of long ago', (town) =>
      town.as('anna', edit(town.direct('anna', 'ben'), town.said.old)),
    ),
    refuses('edit_conflict', 'one that was edited since the caller saw it', (town) =>
      town.as('anna', { ...edit(town.direct('anna', 'ben'), town.said.edited), count: 0 }),
    ),
    refuses(
      'unknown_media',
      'to a file that is not there',
      editOfMine(() => ({ body: { text: 'x', media: NO_FILE } })),
    ),
    refuses(
      'unknown_media',
      'to a file of somebody else',
      editOfMine(async (town) => ({ body: { text: 'x', media: await upload(town, 'ben', 'of ben') } })),
    ),
    refuses(
      'content_refused',
      'to a word that is banned',
      editOfMine(() => ({ body: { text: BANNED_WORD } })),
    ),
    refuses(
      'bad_request',
      'to a body that its type does not have',
      editOfMine(() => ({ body: { lat: 1 } })),
    ),
  ],
  'messages.recall': [
    ...inLog((log) => one(log, 1)),
    ...ofMessage(one),
    ofNoMessage(one),
    refuses('not_author', 'of somebody else', (town) =>
      town.as('anna', one(town.direct('anna', 'ben'), town.said.bens)),
    ),
    refuses('not_author', 'of the owner, by a plain member', (town) =>
      town.as('member', one(town.groups.ours, town.said.ofOwner)),
    ),
    refuses('not_member', 'by who has left the group', (town) =>
      town.as('left', one(town.groups.ours, town.said.ofLeft)),
    ),
    refuses('too_late', 'one of long ago', (town) =>
      town.as('anna', one(town.direct('anna', 'ben'), town.said.old)),
    ),
  ],
  'messages.react': [
    ...inLog((log) => react(log, 1)),
    ...ofMessage(react),
    ofNoMessage(react),
    ofRecalled(react),
    ...whereNotWelcome(react),
    refuses('muted', 'by who is muted', (town) =>
      town.as('muted', react(town.groups.ours, town.said.ofMember)),
    ),
    refuses('too_many_reactions', 'one more than a person gives', async (town) => {
      const message = { log: town.direct('anna', 'ben'), seq: town.said.bens }
      for (const emoji of REACTIONS) await town.do('anna', 'messages.react', { ...message, emoji })
      return town.as('anna', { ...message, emoji: '🐌' })
    }),
  ],
  'messages.reactions': [
    ...inLog((log) => one(log, 1)),
    ...ofMessage(one),
    ofNoMessage(one),
    foreign('cursor', 'bad_request', 'of another operation', (town) =>
      town.as('anna', { ...one(town.direct('anna', 'ben'), town.said.bens), cursor: '5.x' }),
    ),
  ],
  'messages.pin': [
    ...inLog((log) => one(log, 1)),
    ...ofMessage(one),
    ofNoMessage(one),
    ofRecalled(one),
    ...whereNotWelcome(one),
    refuses('not_admin', 'by a plain member', (town) =>
      town.as('member', one(town.groups.ours, town.said.ofMember)),
    ),
    whereSwallowed(one),
    refuses('too_many_pins', 'one more than a conversation has', (town) =>
      town.as('anna', one(town.direct('anna', 'anna'), town.said.notes.at(-1)!)),
    ),
  ],
  'messages.unpin': [
    ...inLog((log) => one(log, 1)).filter(({ promise }) => !promise.startsWith('the notices')),
    ...whereNotWelcome(one),
    whereSwallowed(one),
    foreign('seq', passesOver(), 'one that is not pinned', (town) =>
      town.as('owner', one(town.groups.ours, town.said.ofMember)),
    ),
    absent('seq', passesOver(), (town) => town.as('owner', one(town.groups.ours, NO_SEQ))),
    refuses('not_admin', 'by a plain member', (town) =>
      town.as('member', one(town.groups.ours, town.said.ofMember)),
    ),
    refuses('forbidden', 'in the own notices', (town) => town.as('owner', one(`n:${town.who('owner')}`, 1))),
  ],
  'messages.pins': inLog((log) => ({ log })),
}
