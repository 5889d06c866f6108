/** What the operator is refused on the admin port. */
import type { AdminName, AdminParams } from '../../../protocol/admin/operations.ts'
import { admin } from '../../harness/admin.ts'
import { newPhone, newUid } from '../../harness/people.ts'
import {
  absent,
  BANNED_WORD,
  type Call,
  foreign,
  NO_FILE,
  NO_GROUP,
  NO_SEQ,
  NOBODY,
  passesOver,
  refuses,
  refusesTheWord,
  type Situation,
} from './situation.ts'
import type { Town } from './town.ts'
import { upload } from './town-files.ts'
import { NOT_IMPORTED } from './views.ts'

const operator = <P>(params: P): Call<P> => ({ as: null, params })

const NO_NODE = 'no-node-of-this-name'
const NO_HOOK = 'no-webhook-of-this-name'
const MONTH_MS = 30 * 24 * 60 * 60 * 1000

const absentNode = (): Situation<{ node: string }> =>
  absent('node', 'unknown_node', () => operator({ node: NO_NODE }))

const absentUser = <P>(params: (uid: string) => P): Situation<P> =>
  absent('uid', 'unknown_user', () => operator(params(NOBODY)))

/** Refusals of whatever names a webhook. */
const ofWebhook = <P>(params: (id: string) => P): Situation<P>[] => [
  absent('id', 'unknown_webhook', () => operator(params(NO_HOOK))),
  refuses('unknown_webhook', 'one that was removed', (town) =>
    operator(params(town.operator.removedWebhook)),
  ),
]

/** Refusals of whatever names a bot. */
const ofBot = <P>(params: (uid: string) => P): Situation<P>[] => [
  absent('uid', 'not_a_bot', () => operator(params(NOBODY))),
  refuses('not_a_bot', 'a person', (town) => operator(params(town.who('anna')))),
]

type SendAs = AdminParams<'sendAs'>
let sent = 0

/** For anna, to a role. */
const sendTo = (role: string) => (town: Town) => operator(sendAs(town, 'anna', town.who(role)))

function sendAs(town: Town, role: string, to: string, body: object = {}): SendAs {
  return { uid: town.who(role), to, id: `as-${sent++}`, type: 'text', body: { text: 'hi', ...body } }
}

/** Messages into the conversation of anna and ben. */
const importing = (message: (town: Town) => object) => (town: Town) =>
  operator({
    log: town.direct('anna', 'ben'),
    messages: [
      {
        from: town.who('anna'),
        at: Date.now(),
        id: `import-${sent++}`,
        body: { text: 'x' },
        ...message(town),
      },
    ],
  })

/** A report by anna. */
async function report(town: Town, what: object): Promise<number> {
  return (await town.do<{ report: number }>('anna', 'reports.create', { reason: 'spam', ...what })).report
}

export const ADMIN_SITUATIONS: { [Name in AdminName]: Situation<AdminParams<Name>>[] } = {
  nodes: [],
  sessions: [absentUser((uid) => ({ uid }))],
  kick: [
    absentUser((uid) => ({ uid })),
    absent('device', passesOver({ closed: [], away: [] }), (town) =>
      operator({ uid: town.who('ben'), device: 'none-of-this-name' }),
    ),
    foreign('device', passesOver({ closed: [], away: [] }), 'a device of somebody else', (town) =>
      operator({ uid: town.who('anna'), device: 'phone' }),
    ),
  ],
  revoke: [
    absentUser((uid) => ({ uid, device: 'phone' })),
    foreign('device', passesOver({ revoked: true }), 'a device of somebody else', (town) =>
      operator({ uid: town.who('anna'), device: 'phone' }),
    ),
  ],
  drain: [absentNode()],
  undrain: [absentNode()],
  drainStatus: [absentNode()],
  rebalance: [],
  queues: [],
  slow: [],
  trace: [
    refuses('bad_request', 'of nothing', () => operator({})),
    refuses('bad_request', 'a message of no log', () => operator({ device: 'a/b', id: 'm1' })),
  ],
  message: [
    absent('log', 'unknown_log', () => operator({ log: NO_GROUP, seq: 1 })),
    absent('seq', 'unknown_entry', (town) => operator({ log: town.groups.ours, seq: NO_SEQ })),
    foreign('cursor', 'bad_request', 'of another operation', (town) =>
      operator({ log: town.groups.ours, seq: 1, cursor: '5.x' }),
    ),
  ],

  webhooks: [],
  addWebhook: [
    refuses('id_conflict', 'one of the same name', (town) =>
      operator({ id: town.operator.webhook, url: 'http://127.0.0.1:9/', events: ['*'] }),
    ),
    refuses('too_many_webhooks', 'one more than allowed', () =>
      operator({ id: 'one-more', url: 'http://127.0.0.1:9/', events: ['*'] }),
    ),
  ],
  updateWebhook: ofWebhook((id) => ({ id, events: ['*'] })),
  removeWebhook: ofWebhook((id) => ({ id })),
  pauseWebhook: ofWebhook((id) => ({ id })),
  resumeWebhook: ofWebhook((id) => ({ id })),
  replayWebhook: ofWebhook((id) => ({ id, from: 1 })),
  deadLetters: ofWebhook((id) => ({ id })),
  retryDeadLetters: ofWebhook((id) => ({ id })),

  addBot: [
    refuses('uid_taken', 'of a person', (town) => operator({ uid: town.who('anna'), name: 'x' })),
    refuses('uid_taken', 'of a system account', (town) =>
      operator({ uid: town.operator.system, name: 'x', open: true }),
    ),
  ],
  addSystemAccount: [
    refuses('uid_taken', 'of a person', (town) => operator({ uid: town.who('anna'), name: 'x' })),
    refuses('uid_taken', 'of a bot', (town) => operator({ uid: town.operator.bot, name: 'x' })),
  ],
  addApiKey: [
    ...ofBot((uid) => ({ uid, name: 'x' })),
    refuses('not_a_bot', 'one that was removed', (town) =>
      operator({ uid: town.operator.retired, name: 'x' }),
    ),
    refuses('too_many_keys', 'one more than a bot has', (town) =>
      operator({ uid: town.operator.bot, name: 'x' }),
    ),
  ],
  apiKeys: ofBot((uid) => ({ uid })),
  endApiKey: [
    absent('id', 'unknown_key', () => operator({ id: 'no-key-of-this-name' })),
    {
      promise: 'one that was ended already',
      outcome: passesOver((town) => ({ id: town.operator.endedKey, uid: town.operator.bot })),
      prepare: (town) => operator({ id: town.operator.endedKey }),
    },
  ],
  removeBot: ofBot((uid) => ({ uid })),

  broadcast: [
    absent('from', 'not_a_system_account', () => operator({ id: 'b', from: NOBODY, body: { text: 'hi' } })),
    refuses('not_a_system_account', 'from a person', (town) =>
      operator({ id: 'b', from: town.who('anna'), body: { text: 'hi' } }),
    ),
    refuses('not_a_system_account', 'from a bot', (town) =>
      operator({ id: 'b', from: town.operator.bot, body: { text: 'hi' } }),
    ),
    refuses('id_conflict', 'another content under a name that was used', (town) =>
      operator({ id: town.operator.running, from: town.operator.system, body: { text: 'other' } }),
    ),
    refuses('unknown_media', 'a file of somebody else', async (town) => {
      const media = await upload(town, 'anna', 'not for all')
      return operator({ id: 'b', from: town.operator.system, type: 'file', body: { media } })
    }),
    refuses('too_many_broadcasts', 'one more than may run', (town) =>
      operator({ id: 'one-more', from: town.operator.system, body: { text: 'hi' } }),
    ),
  ],
  broadcasts: [],
  stopBroadcast: [absent('id', 'unknown_broadcast', () => operator({ id: 'no-broadcast-of-this-name' }))],

  sendAs: [
    absent('uid', 'unknown_user', (town) =>
      operator({ ...sendAs(town, 'anna', town.who('ben')), uid: NOBODY }),
    ),
    absent('to', 'unknown_user', (town) => operator(sendAs(town, 'anna', NOBODY))),
    refuses('account_inactive', 'for somebody whose account rests', (town) =>
      operator(sendAs(town, 'sleeper', town.who('anna'))),
    ),
    refuses('unknown_group', 'to a group that is not there', (town) =>
      operator(sendAs(town, 'anna', NO_GROUP)),
    ),
    refuses('not_member', 'to a group of others', (town) => operator(sendAs(town, 'anna', town.groups.ours))),
    refuses('not_friends', 'to somebody who ended the friendship', sendTo('ex')),
    refuses('blocked', 'to somebody who has blocked the sender', sendTo('wall')),
    refuses('account_inactive', 'to somebody whose account rests', sendTo('sleeper')),
    refuses('muted', 'for who is muted', (town) => operator(sendAs(town, 'muted', town.groups.ours))),
    refuses('not_admin', 'for a member where only admins write', (town) =>
      operator(sendAs(town, 'member', town.groups.quiet)),
    ),
    refuses('transient_only', 'where nothing is kept', (town) =>
      operator(sendAs(town, 'anna', town.groups.liveRoom)),
    ),
    refuses('unknown_entry', 'an answer to what is not there', (town) =>
      operator(sendAs(town, 'anna', town.who('ben'), { replyTo: { seq: NO_SEQ } })),
    ),
    refuses('unknown_media', 'a file that is not there', (town) =>
      operator(sendAs(town, 'anna', town.who('ben'), { media: NO_FILE })),
    ),
    refusesTheWord((town) => operator(sendAs(town, 'anna', town.who('ben'), { text: BANNED_WORD }))),
    refuses('id_conflict', 'another content under an id that was used', async (town) => {
      const first = sendAs(town, 'anna', town.who('anna'))
      await admin(town.server, 'sendAs', first)
      return operator({ ...first, body: { text: 'other' } })
    }),
  ],

  importAccounts: [
    refuses('uid_taken', 'a uid that has another phone, and a new one', async (town) => {
      const uid = newUid('has-a-phone')
      await admin(town.server, 'importAccounts', { accounts: [{ uid, phone: newPhone() }] })
      return operator({ accounts: [{ uid: NOT_IMPORTED }, { uid, phone: newPhone() }] })
    }),
    refuses('uid_fixed', 'a phone that has another uid', async (town) => {
      const phone = newPhone()
      await admin(town.server, 'importAccounts', { accounts: [{ uid: newUid('first'), phone }] })
      return operator({ accounts: [{ uid: NOT_IMPORTED }, { uid: newUid('second'), phone }] })
    }),
  ],
  importContacts: [
    refuses('unknown_user', 'somebody who is not there', (town) =>
      operator({ pairs: [{ a: town.who('anna'), b: NOBODY }] }),
    ),
    refuses('bad_request', 'somebody with themselves', (town) =>
      operator({ pairs: [{ a: town.who('anna'), b: town.who('anna') }] }),
    ),
    refuses('too_many_contacts', 'one more than an account has', (town) =>
      operator({
        pairs: [
          { a: town.who('anna'), b: town.who('stranger') },
          { a: town.who('full'), b: town.who('stranger') },
        ],
      }),
    ),
  ],
  importMessages: [
    absent('log', 'unknown_group', (town) =>
      operator({
        log: NO_GROUP,
        messages: [{ from: town.who('anna'), at: 1, id: 'x', body: { text: 'x' } }],
      }),
    ),
    refuses('unknown_user', 'of two, one of whom is not there', (town) =>
      operator({
        log: `d:${[town.who('anna'), NOBODY].sort().join(':')}`,
        messages: [{ from: town.who('anna'), at: 1, id: 'x', body: { text: 'x' } }],
      }),
    ),
    refuses(
      'not_member',
      'from somebody else',
      importing((town) => ({ from: town.who('stranger') })),
    ),
    refuses(
      'not_in_order',
      'before what is there',
      importing(() => ({ at: Date.now() - 2 * MONTH_MS })),
    ),
    refuses(
      'not_in_order',
      'of a time to come',
      importing(() => ({ at: Date.now() + MONTH_MS })),
    ),
    refuses(
      'id_conflict',
      'another content under an id that was used',
      importing(() => ({ id: 'old' })),
    ),
  ],

  words: [],
  setWords: [
    refuses('too_many_words', 'one more than the list has', () =>
      operator({
        words: [
          { word: BANNED_WORD, action: 'mask' },
          { word: 'one-more', action: 'mask' },
        ],
      }),
    ),
  ],
  removeWords: [],
  reports: [],
  decideReport: [
    absent('n', 'unknown_report', () => operator({ n: NO_SEQ, decision: 'dismiss' as const })),
    refuses('report_decided', 'one that was decided', async (town) => {
      const n = await report(town, { uid: town.who('other') })
      await admin(town.server, 'decideReport', { n, decision: 'dismiss' })
      return operator({ n, decision: 'suspend' as const })
    }),
    refuses('unknown_entry', 'to remove a person', async (town) =>
      operator({ n: await report(town, { uid: town.who('peer') }), decision: 'remove' as const }),
    ),
    refuses('unknown_user', 'to suspend who is erased', async (town) => {
      const uid = newUid('erased')
      await town.call('settings.get', uid, {})
      const n = await report(town, { uid })
      await town.call('accounts.erase', uid, { confirm: uid })
      return operator({ n, decision: 'suspend' as const })
    }),
    refuses('bad_request', 'to suspend until a time that is past', async (town) =>
      operator({ n: await report(town, { uid: town.who('late') }), decision: 'suspend' as const, until: 1 }),
    ),
  ],
  suspend: [
    absentUser((uid) => ({ uid, reason: 'spam' })),
    refuses('bad_request', 'until a time that is past', (town) =>
      operator({ uid: town.who('anna'), reason: 'spam', until: 1 }),
    ),
  ],
  unsuspend: [
    absentUser((uid) => ({ uid })),
    {
      promise: 'who is not suspended',
      outcome: passesOver((town) => ({ uid: town.who('anna'), wasSuspended: false })),
      prepare: (town) => operator({ uid: town.who('anna') }),
    },
  ],
  suspensions: [],
}
