/** Conversations, their history and what is found in them. */
import type { OperationName, Params } from '../../../protocol/catalogue/catalogue.ts'
import {
  absent,
  foreign,
  NO_GROUP,
  NO_SEQ,
  NOBODY,
  passesOver,
  refuses,
  type Situation,
} from './situation.ts'
import type { Town } from './town.ts'

/** Refusals of whatever names a conversation: who was never in it does not learn that it is there. */
export const inLog = <P>(params: (log: string, town: Town) => P): Situation<P>[] => [
  foreign('log', 'unknown_log', 'a conversation of two others', (town) =>
    town.as('stranger', params(town.direct('anna', 'ben'), town)),
  ),
  refuses('unknown_log', 'a group of others', (town) => town.as('stranger', params(town.groups.ours, town))),
  refuses('unknown_log', 'the notices of somebody else', (town) =>
    town.as('stranger', params(`n:${town.who('anna')}`, town)),
  ),
  absent('log', 'unknown_log', (town) => town.as('anna', params(NO_GROUP, town))),
  refuses('unknown_log', 'of two who never wrote to each other', (town) =>
    town.as('stranger', params(town.direct('stranger', 'anna'), town)),
  ),
]

/** The same, where notices are refused for what they are. */
const inConversation = <P>(params: (log: string) => P): Situation<P>[] => [
  ...inLog(params).filter(({ promise }) => !promise.startsWith('the notices')),
  refuses('bad_request', 'notices', (town) => town.as('anna', params(`n:${town.who('anna')}`))),
]

/** Refusals of whatever names one message. */
export const ofMessage = <P>(params: (log: string, seq: number) => P): Situation<P>[] => [
  foreign('seq', 'unknown_entry', 'of before the caller came', (town) =>
    town.as('late', params(town.groups.ours, town.said.ofOwner)),
  ),
  refuses('unknown_entry', 'one that went nowhere', (town) =>
    town.as('swallower', params(town.direct('swallower', 'pest'), town.said.swallowed)),
  ),
  absent('seq', 'unknown_entry', (town) => town.as('anna', params(town.direct('anna', 'ben'), NO_SEQ))),
]

type Names =
  | Extract<OperationName, `conversations.${string}`>
  | 'messages.receipts'
  | 'messages.readers'
  | 'messages.page'
  | 'messages.get'
  | 'messages.search'
  | 'messages.delete'
  | 'reports.create'

export const conversationSituations: { [Name in Names]: Situation<Params<Name>>[] } = {
  'conversations.list': [
    foreign('cursor', 'bad_request', 'of another operation', (town) => town.as('anna', { cursor: '5.x' })),
  ],
  'conversations.changes': [],
  'conversations.update': [
    ...inConversation((log) => ({ log, pinned: true })),
    refuses('bad_request', 'nothing is changed', (town) =>
      town.as('anna', { log: town.direct('anna', 'ben') }),
    ),
  ],
  'conversations.clear': inConversation((log) => ({ log })),
  'conversations.read': inLog((log) => ({ log, seq: 1 })),
  'conversations.readAll': [],
  'conversations.badge': [],

  'messages.receipts': [
    ...inLog((log) => ({ log })),
    foreign('seq', 'unknown_entry', 'one that went nowhere', (town) =>
      town.as('swallower', { log: town.direct('swallower', 'pest'), seq: town.said.swallowed }),
    ),
    absent('seq', 'unknown_entry', (town) =>
      town.as('anna', { log: town.direct('anna', 'ben'), seq: NO_SEQ }),
    ),
    refuses('bad_request', 'of a group', (town) => town.as('member', { log: town.groups.ours })),
  ],
  'messages.readers': [
    ...inLog((log) => ({ log, seq: 1 })),
    foreign('seq', 'unknown_entry', 'of before the caller came', (town) =>
      town.as('late', { log: town.groups.ours, seq: town.said.ofOwner }),
    ),
    absent('seq', 'unknown_entry', (town) => town.as('owner', { log: town.groups.ours, seq: NO_SEQ })),
    refuses('bad_request', 'of two people', (town) =>
      town.as('anna', { log: town.direct('anna', 'ben'), seq: 1 }),
    ),
    refuses('not_member', 'by who has left the group', (town) =>
      town.as('left', { log: town.groups.ours, seq: town.said.ofLeft }),
    ),
    refuses('receipts_off', 'of a group that is too large', (town) =>
      town.as('full', { log: town.groups.packed, seq: 1 }),
    ),
  ],

  'messages.page': [
    ...inLog((log) => ({ log })),
    foreign('cursor', 'bad_request', 'of another operation', (town) =>
      town.as('anna', { log: town.direct('anna', 'ben'), cursor: '5.x' }),
    ),
    refuses('bad_request', 'two positions', (town) =>
      town.as('anna', { log: town.direct('anna', 'ben'), around: 1, at: 1 }),
    ),
  ],
  'messages.get': [
    ...inLog((log) => ({ log, seqs: [1] })),
    foreign('seqs', passesOver({ entries: [] }), 'of before the caller came', (town) =>
      town.as('late', { log: town.groups.ours, seqs: [1, town.said.ofOwner] }),
    ),
    absent('seqs', passesOver({ entries: [] }), (town) =>
      town.as('anna', { log: town.direct('anna', 'ben'), seqs: [NO_SEQ] }),
    ),
  ],
  'messages.search': [
    foreign('log', passesOver({ items: [] }), 'a conversation of two others', (town) =>
      town.as('stranger', { query: 'said', log: town.direct('anna', 'ben') }),
    ),
    absent('log', passesOver({ items: [] }), (town) => town.as('anna', { query: 'said', log: NO_GROUP })),
    foreign('from', passesOver({ items: [] }), 'who wrote nothing that the caller sees', (town) =>
      town.as('stranger', { query: 'said', from: town.who('anna') }),
    ),
    absent('from', passesOver({ items: [] }), (town) => town.as('anna', { query: 'said', from: NOBODY })),
    foreign('cursor', passesOver({ items: [] }), 'a place in what others find', (town) =>
      town.as('stranger', { query: 'said', cursor: '999999' }),
    ),
    refuses('bad_request', 'without a letter', (town) => town.as('anna', { query: '!?' })),
  ],
  'messages.delete': [
    ...inLog((log) => ({ log, seqs: [1] })),
    foreign('seqs', passesOver(), 'of before the caller came', (town) =>
      town.as('late', { log: town.groups.ours, seqs: [1, town.said.ofOwner] }),
    ),
    absent('seqs', passesOver(), (town) =>
      town.as('anna', { log: town.direct('anna', 'ben'), seqs: [NO_SEQ] }),
    ),
  ],
  'reports.create': [
    ...inLog((log) => ({ log, seq: 1, reason: 'spam' as const })),
    ...ofMessage((log, seq) => ({ log, seq, reason: 'spam' as const })),
    absent('uid', 'unknown_user', (town) => town.as('anna', { uid: NOBODY, reason: 'spam' })),
    refuses('bad_request', 'oneself', (town) => town.as('anna', { uid: town.who('anna'), reason: 'spam' })),
    refuses('bad_request', 'a message and a person', (town) =>
      town.as('anna', {
        log: town.direct('anna', 'ben'),
        seq: town.said.bens,
        uid: town.who('ben'),
        reason: 'spam',
      }),
    ),
  ],
}
