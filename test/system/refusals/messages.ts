/** Sending, forwarding, planning. */
import type { OperationName, Params } from '../../../protocol/catalogue/catalogue.ts'
import { inLog } from './conversations.ts'
import {
  absent,
  BANNED_WORD,
  foreign,
  NO_FILE,
  NO_GROUP,
  NO_SEQ,
  NOBODY,
  passesOver,
  refuses,
  type Situation,
} from './situation.ts'
import { type Town, USED_REQUEST } from './town.ts'
import { beginUpload, upload } from './town-files.ts'

type Names = Extract<
  OperationName,
  'messages.send' | 'messages.forward' | 'messages.schedule' | 'messages.scheduled' | 'messages.unschedule'
>

const HOUR_MS = 60 * 60 * 1000
const SCHEDULED_MAX = 100

/** A message of anna to a role. */
const toRole = (role: string) => (town: Town) => town.as('anna', { to: town.who(role), text: 'hi' })

/** A message to ben with something in its body. */
const withBody = (body: (town: Town) => object | Promise<object>) => async (town: Town) =>
  town.as('anna', { to: town.who('ben'), body: { text: 'hi', ...(await body(town)) } })

const later = () => Date.now() + HOUR_MS

/** Forwards messages of the conversation with ben. */
const forwarded = (seq: (town: Town) => number) => (town: Town) =>
  town.as('anna', {
    log: town.direct('anna', 'ben'),
    seqs: [town.said.mine, seq(town)],
    to: [town.who('anna')],
  })

export const messageSituations: { [Name in Names]: Situation<Params<Name>>[] } = {
  'messages.send': [
    foreign('to', 'not_member', 'a group of others', (town) =>
      town.as('stranger', { to: town.groups.ours, text: 'hi' }),
    ),
    absent('to', 'unknown_user', (town) => town.as('anna', { to: NOBODY, text: 'hi' })),
    refuses('unknown_group', 'to a group that is not there', (town) =>
      town.as('anna', { to: NO_GROUP, text: 'hi' }),
    ),
    refuses('bad_request', 'to a conversation of two others', (town) =>
      town.as('stranger', { to: town.direct('anna', 'ben'), text: 'hi' }),
    ),
    refuses('not_member', 'to a group that the sender has left', (town) =>
      town.as('left', { to: town.groups.ours, text: 'hi' }),
    ),
    refuses('not_member', 'to a group that was dissolved', (town) =>
      town.as('owner', { to: town.groups.dissolved, text: 'hi' }),
    ),
    refuses('not_member', 'to a room without having joined', (town) =>
      town.as('stranger', { to: town.groups.room, text: 'hi' }),
    ),
    refuses('not_friends', 'to somebody who ended the friendship', toRole('ex')),
    refuses('blocked', 'to somebody who has blocked the sender', toRole('wall')),
    refuses('account_inactive', 'to somebody whose account rests', toRole('sleeper')),
    refuses('muted', 'by who is muted', (town) => town.as('muted', { to: town.groups.ours, text: 'hi' })),
    refuses('not_admin', 'by a member where only admins write', (town) =>
      town.as('member', { to: town.groups.quiet, text: 'hi' }),
    ),
    refuses('transient_only', 'to be kept where nothing is kept', (town) =>
      town.as('stranger', { to: town.groups.liveRoom, text: 'hi' }),
    ),
    refuses('not_member', 'where nothing is kept, by who is banned', (town) =>
      town.as('banned', { to: town.groups.liveRoom, text: 'hi', transient: true }),
    ),
    refuses('id_conflict', 'another content under an id that was used', async (town) => {
      await town.do('anna', 'messages.send', { id: 'twice', to: town.who('anna'), text: 'first' })
      return town.as('anna', { id: 'twice', to: town.who('anna'), text: 'second' })
    }),
    refuses('id_conflict', 'the same content to another one under an id that was used', async (town) => {
      await town.do('anna', 'messages.send', { id: 'again', to: town.who('anna'), text: 'first' })
      return town.as('anna', { id: 'again', to: town.who('ben'), text: 'first' })
    }),
    refuses(
      'unknown_entry',
      'an answer to what is not there',
      withBody(() => ({ replyTo: { seq: NO_SEQ } })),
    ),
    refuses(
      'unknown_entry',
      'an answer to what others said',
      withBody((town) => ({ replyTo: { log: town.groups.ours, seq: town.said.ofOwner } })),
    ),
    refuses(
      'unknown_media',
      'a file that is not there',
      withBody(() => ({ media: NO_FILE })),
    ),
    refuses(
      'unknown_media',
      'a file of somebody else',
      withBody(async (town) => ({ media: await upload(town, 'stranger', 'not for anna') })),
    ),
    refuses(
      'unknown_media',
      'a file that is not complete',
      withBody(async (town) => ({ media: await beginUpload(town, 'anna', Buffer.from('to send')) })),
    ),
    refuses('content_refused', 'a word that is banned', (town) =>
      town.as('anna', { to: town.who('ben'), text: `so ${BANNED_WORD}` }),
    ),
  ],

  'messages.forward': [
    ...inLog((log, town) => ({ log, seqs: [1], to: [town.who('stranger')] })),
    foreign('seqs', 'unknown_entry', 'of before the caller came', (town) =>
      town.as('late', { log: town.groups.ours, seqs: [town.said.ofOwner], to: [town.who('late')] }),
    ),
    absent(
      'seqs',
      'unknown_entry',
      forwarded(() => NO_SEQ),
    ),
    refuses('unknown_entry', 'what is no message', (town) =>
      town.as('member', { log: town.groups.ours, seqs: [1], to: [town.who('member')] }),
    ),
    refuses(
      'recalled',
      'one that was recalled',
      forwarded((town) => town.said.recalled),
    ),
    refuses(
      'forbidden',
      'one that destroys itself',
      forwarded((town) => town.said.doomed),
    ),
    foreign('to', 'bad_request', 'a conversation of two others', (town) =>
      town.as('anna', {
        log: town.direct('anna', 'ben'),
        seqs: [town.said.mine],
        to: [town.who('anna'), town.direct('swallower', 'pest')],
      }),
    ),
    absent('to', passesOver({ items: [{ to: NOBODY, seqs: [], refused: 'unknown_user' }] }), (town) =>
      town.as('anna', { log: town.direct('anna', 'ben'), seqs: [town.said.mine], to: [NOBODY] }),
    ),
  ],

  'messages.schedule': [
    foreign('to', 'bad_request', 'a conversation of two others', (town) =>
      town.as('stranger', { to: town.direct('anna', 'ben'), text: 'hi', at: later() }),
    ),
    refuses('bad_request', 'at a time that is past', (town) =>
      town.as('anna', { to: town.who('ben'), text: 'hi', at: 1 }),
    ),
    refuses('bad_request', 'in more than a year', (town) =>
      town.as('anna', { to: town.who('ben'), text: 'hi', at: Date.now() + 400 * 24 * HOUR_MS }),
    ),
    refuses('id_conflict', 'something else under an id that is planned', async (town) => {
      const at = later()
      await town.do('anna', 'messages.schedule', { id: 'planned', to: town.who('ben'), text: 'hi', at })
      return town.as('anna', { id: 'planned', to: town.who('ben'), text: 'hi', at: at + 1 })
    }),
    refuses('content_refused', 'a word that is banned', (town) =>
      town.as('anna', { to: town.who('ben'), text: BANNED_WORD, at: later() }),
    ),
    refuses('too_many_scheduled', 'one more than an account has', async (town) => {
      const message = { to: town.who('planner'), text: 'hi', at: later() }
      for (let i = 0; i < SCHEDULED_MAX; i++) {
        await town.do('planner', 'messages.schedule', { id: `p${i}`, ...message })
      }
      return town.as('planner', { id: 'one-more', ...message })
    }),
  ],
  'messages.scheduled': [
    foreign('cursor', passesOver({ items: [] }), 'a place in the plans of others', (town) =>
      town.as('stranger', { cursor: '1.1' }),
    ),
  ],
  'messages.unschedule': [
    foreign('id', 'unknown_schedule', 'what somebody else has planned', async (town) => {
      const message = { id: 'of-ben', to: town.who('anna'), text: 'hi', at: later() }
      await town.do('ben', 'messages.schedule', message)
      return town.as('anna', { id: 'of-ben' })
    }),
    absent('id', 'unknown_schedule', (town) => town.as('anna', { id: USED_REQUEST })),
    refuses('unknown_schedule', 'what was taken back already', async (town) => {
      const message = { id: 'taken-back', to: town.who('ben'), text: 'hi', at: later() }
      await town.do('anna', 'messages.schedule', message)
      await town.do('anna', 'messages.unschedule', { id: 'taken-back' })
      return town.as('anna', { id: 'taken-back' })
    }),
  ],
}
