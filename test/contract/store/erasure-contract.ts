/**
 * What is left of an erased account, looked for in every column of every table: its number, its uid, and the words and
 * names that the person gave. Whatever may stay is named here, with the reason.
 */
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { buildClientId, type DeviceId, type LogId } from '../../../protocol/ids.ts'
import type { SendMarks } from '../../../protocol/message-types.ts'
import { sendAndWait } from '../../../services/messages/awaited-send.ts'
import { forwardMessages } from '../../../services/messages/forwarding.ts'
import { MessageSender } from '../../../services/messages/message-sender.ts'
import { createIntake } from '../../../services/messages/ports.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import {
  EXPORT_PARTS,
  type ExportCursor,
  type ExportPage,
  type ExportPart,
} from '../../../services/store/operations/accounts/export.ts'
import type { StoreEngine } from './engine.ts'
import { handsOf } from './group-calls.ts'
import { befriend, createGroup, createPeople, createUid, directLog, readAll, send } from './people.ts'
import { logIn } from './people-contract.ts'
import { openRawTables, type RawTables } from './raw-tables.ts'

/** Where the number or the uid of an erased account stays. */
const NAMED_STILL: ReadonlyMap<string, string> = new Map([
  ['account.n', 'nobody gets the uid again'],
  ['account.uid', 'nobody gets the uid again'],
  ['log.name', 'a direct conversation is also the other person’s, and has both uids as its name'],
  ['entry.account', 'a message keeps its place and its author, who reads "deleted account"'],
  ['entry.state', 'says that the author’s account was erased'],
  ['entry.body', 'groups tell who came and went, and notices whose account was erased'],
  ['membership.account', 'the window of a log: others see in the history when the person was there'],
  ['change.key', 'tells devices of former contacts to forget the person'],
  ['contact.peer', 'a stranger who blocked the person keeps the block'],
  ['chat_group.announced_by', 'the announcement is the group’s'],
  ['group_ban.account', 'a ban protects the group'],
  ['group_ban.banned_by', 'a ban protects the group'],
  ['group_link.made_by', 'the link is the group’s, and its admins end it'],
  ['pin.pinned_by', 'the pin is the conversation’s'],
  ['report.account', 'what others reported is for the operator to decide'],
  ['report.evidence', 'what others reported is for the operator to decide'],
  ['event.body', 'events are delivered to webhooks and go by age'],
  ['dead_letter.body', 'events are delivered to webhooks and go by age'],
  ['plain_change.name', 'tells nodes what to look up again, and goes with the changes that follow'],
])
/** Where words of theirs stay, or their phone number. */
const TOLD_STILL: ReadonlyMap<string, string> = new Map([
  ['report.evidence', 'what others reported is for the operator to decide'],
  ['plain_change.name', 'tells nodes what to look up again, and goes with the changes that follow'],
  ['sms_count.key', 'limits the codes for a number, whoever asks, and goes with its window'],
  ['event.body', 'events are delivered to webhooks and go by age'],
  ['dead_letter.body', 'events are delivered to webhooks and go by age'],
])
/** Where words of a person are, and the part of their archive that has them. */
const EXPORTED: ReadonlyMap<string, ExportPart> = new Map([
  ['account.phone', 'account'],
  ['profile.name', 'profile'],
  ['profile.attributes', 'profile'],
  ['device.id', 'devices'],
  ['contact.remark', 'contacts'],
  ['contact.tags', 'contacts'],
  ['membership.nickname', 'groups'],
  ['join_request.text', 'joinRequests'],
  ['group_ban.reason', 'bans'],
  ['conversation_state.draft', 'conversations'],
  ['entry.body', 'messages'],
  ['reaction.emoji', 'reactions'],
  ['scheduled_send.id', 'scheduled'],
  ['scheduled_send.body', 'scheduled'],
  ['report.text', 'reports'],
  ['plain_retained.payload', 'own'],
  ['media.name', 'media'],
])
/** Where they are as well. */
const NOT_EXPORTED: ReadonlySet<string> = new Set([
  // Names of devices, which the part of devices has, and of calls and sends, which an app gave them.
  ...['entry.device', 'scheduled_send.device', 'session.client_id', 'session.device'],
  ...['plain_session.client_id', 'plain_will.client_id', 'entry.id', 'request.hash', 'request.result'],
  // What is on its way to a device, and what it says when it is cut off.
  ...['plain_message.payload', 'plain_receipt.packet', 'plain_will.will'],
  // What searches and nodes look things up by.
  ...['message_search.terms', 'plain_change.name'],
  // How often something was reacted with, beside the reactions; what was reported, beside the messages.
  ...['entry.state', 'report.evidence'],
  // The operator's: how a program of theirs logs in, and how often codes were asked for.
  ...['api_key.hash', 'api_key.id', 'api_key.name', 'sms_count.key'],
])
/** Tables with an account that no person can fill. */
const NOT_OF_PERSONS: ReadonlySet<string> = new Set(['broadcast', 'erasure', 'chat_group'])
const ACCOUNT_COLUMNS = ['account', 'peer', 'reporter', 'client_id']

/** Accounts from here on have a number that nothing else in the tables has. */
const ACCOUNT_NUMBERS_FROM = 7_000_000

type Traces = { named: string[]; told: string[] }

/** The columns that hold a trace, as `table.column`. */
async function findTraces(
  tables: RawTables,
  person: { uid: string; account: number },
  words: readonly string[],
): Promise<Traces> {
  const named = new Set<string>()
  const told = new Set<string>()
  for (const table of await tables.names()) {
    for (const row of await tables.query(`select * from "${table}"`)) {
      for (const [column, value] of Object.entries(row)) {
        const text = textOf(value)
        if (text === String(person.account) || text.includes(person.uid)) named.add(`${table}.${column}`)
        if (words.some((word) => text.includes(word))) told.add(`${table}.${column}`)
      }
    }
  }
  return { named: [...named], told: [...told] }
}

const textOf = (value: unknown): string =>
  value instanceof Uint8Array ? Buffer.from(value).toString() : String(value)

/** Lets the next account have a number of its own kind. The store is not open. */
async function giveLargeNumbers(tables: RawTables, isPostgres: boolean): Promise<void> {
  const [row] = await tables.query('select coalesce(max(n), 0) as last from account')
  if (Number(row!.last) >= ACCOUNT_NUMBERS_FROM) return
  await tables.query(
    isPostgres
      ? `select setval(pg_get_serial_sequence('account', 'n'), ${ACCOUNT_NUMBERS_FROM})`
      : `insert into account (n, uid, created_at) values (${ACCOUNT_NUMBERS_FROM}, '${createUid('first')}', 0)`,
  )
}

const stepUntilDone = async (store: Store) => {
  while ((await store.perform({ task: 'eraseStep', input: {} })).more) {
    // As many steps as there are.
  }
}

function say(
  store: Store,
  from: Caller,
  log: LogId,
  text: string,
  marks: SendMarks | null = null,
  id = randomUUID(),
) {
  const bodyJson = JSON.stringify({ text })
  return sendAndWait(store, from, { id, target: { log, peer: null }, type: 'text', bodyJson, marks })
}

/** Copies of a log: one by one, then together, and then all of these copies together. */
async function forward(store: Store, caller: Caller, log: LogId, seqs: number[], to: Caller): Promise<void> {
  const parts = {
    store,
    sender: new MessageSender(store, createIntake()),
    payloadBytesMax: 64 * 1024,
  }
  const target = { to: [to.uid], merged: true, title: 'What was said' }
  await forwardMessages(parts, caller, { log, seqs, to: [to.uid] })
  await forwardMessages(parts, caller, { log, seqs, ...target })
  const copies = (await readAll(store, caller, directLog(caller, to))).map(({ seq }) => seq)
  await forwardMessages(parts, caller, { log: directLog(caller, to), seqs: copies, ...target })
}

/** A file of a person; complete, as the service leaves it in the store. */
async function createFile(
  store: Store,
  { uid, device }: Caller,
  name: string,
  isReady = true,
): Promise<string> {
  const sha256 = createHash('sha256').update(randomBytes(8)).digest('hex')
  const params = { name, type: 'image/png', bytes: 10, sha256 }
  const { id } = await store.run({ name: 'media.create', caller: { uid, device }, params })
  if (isReady) {
    const found = { type: 'image/png', width: 4, height: 3, thumbnail: true }
    await store.perform({ task: 'finishUpload', input: { uid, id, ...found } })
  } else {
    await store.perform({ task: 'keepMediaPart', input: { uid, id, part: 1, bytes: 10 } })
  }
  return id
}

/** Everything of plain MQTT that a device leaves behind: a subscription, a queue, half-open QoS 2, a will, retained messages. */
async function leavePlainTraces(store: Store, { uid, device }: Caller, word: string): Promise<void> {
  const clientId = buildClientId(uid, device!)
  await store.resumePlain({ clientId, persistent: true })
  const subscriptions = [{ filter: `u/${uid}/own/#`, qos: 1 as const }]
  await store.subscribePlain({ clientId, generation: null, subscriptions })
  await store.keepPlainReceipt({ clientId, packetId: 7, packet: word })
  await store.keepPlainWill({ clientId, will: word, delayMs: 0, holder: 'a node' })
  const target = {
    clientId,
    qos: 1 as const,
    retain: false,
    identifiers: [],
    packetId: null,
    generation: null,
  }
  const publications = Array.from({ length: 150 }, (_, i) => ({
    message: {
      topic: `u/${uid}/own/${i}`,
      payload: Buffer.from(word),
      head: '{}',
      origin: randomUUID(),
      expiresAt: null,
    },
    retained: 'keep' as const,
    targets: i === 0 ? [target] : [],
    receipt: null,
    will: null,
  }))
  await store.publishPlain({ publications, known: null, queuedMax: 10 })
}

async function leaveSession(store: Store, { uid, device }: Caller, log: LogId): Promise<void> {
  const { session, generation } = await store.openSession({
    clientId: buildClientId(uid, device!),
    uid,
    device: device!,
    sid: null,
    issuedAt: Date.now(),
    cleanStart: true,
    persistent: true,
    devicesMax: 5,
  })
  await store.startInbox({ uid, session, generation, backlogMax: 100 })
  await store.saveCursors([{ session: session!, generation, log, seq: 1, epoch: 'k1' }])
}

export function erasureContract(engine: () => StoreEngine): void {
  describe('after an erasure', () => {
    test('nothing of the account is left in any table, but for what is named with its reason', async () => {
      const isPostgres = engine().location.startsWith('postgres')
      await using tables = await openRawTables(engine())
      await (await engine().open())[Symbol.asyncDispose]()
      await giveLargeNumbers(tables, isPostgres)
      await using store = await engine().open()
      const word = `w${randomBytes(8).toString('hex')}`
      const { caller, phone } = await logIn(store)
      const alice: Caller = { uid: caller.uid, device: `tablet-${word}` as DeviceId }
      await store.checkLogin({ ...alice, sid: null, issuedAt: Date.now() })
      const [bob, carol, dave, eve] = await createPeople(store, 'bob', 'carol', 'dave', 'eve')
      const run = <Name extends Parameters<Store['run']>[0]['name']>(
        who: Caller,
        name: Name,
        params: object,
      ) => store.run({ name, caller: who, params: params as never })

      // What she says of herself, and people.
      const avatar = await createFile(store, alice, word)
      await run(alice, 'profile.set', { name: word, attributes: { about: word }, avatar, requestId: 'r' })
      await run(alice, 'settings.set', { language: 'de' })
      await run(alice, 'contacts.request', { uid: bob.uid, text: word })
      await run(bob, 'contacts.accept', { uid: alice.uid })
      await befriend(store, alice, carol)
      await befriend(store, bob, carol)
      await befriend(store, bob, eve)
      await run(alice, 'contacts.update', { uid: bob.uid, remark: word, tags: [word] })
      await run(alice, 'contacts.request', { uid: eve.uid, text: word })
      await run(eve, 'contacts.refuse', { uid: alice.uid })
      await run(dave, 'contacts.block', { uid: alice.uid })

      // A conversation.
      const log = directLog(alice, bob)
      const file = await createFile(store, alice, `forwarded-${word}`)
      const sentFile = await createFile(store, alice, word)
      await createFile(store, alice, word, false)
      await say(store, alice, log, word, { media: [sentFile, file] })
      await say(store, bob, log, 'an answer', { mentions: [alice.uid], media: [file] })
      await run(alice, 'messages.edit', { log, seq: 1, body: { text: `edited ${word}` }, count: 0 })
      const ofBobText = 'kept by bob'
      await send(store, bob, log, ofBobText)
      const ofBob = (await readAll(store, bob, log)).at(-1)!.seq
      await forward(store, bob, log, [1, ofBob], carol)
      while ((await store.perform({ task: 'indexMessages', input: { limit: 100 } })) > 0) {
        // Until all is found.
      }
      const found = { items: [{}, {}, {}] }
      expect(await run(carol, 'messages.search', { query: word })).toMatchObject(found)
      await run(alice, 'messages.react', { log, seq: 2, emoji: `:${word}:` })
      await run(bob, 'messages.react', { log, seq: 2, emoji: ':+1:' })
      await run(alice, 'messages.pin', { log, seq: 2 })
      await say(store, bob, log, 'for nobody')
      const { seq: last } = (await readAll(store, bob, log)).at(-1)!
      await run(alice, 'messages.delete', { log, seqs: [last] })
      await run(alice, 'conversations.update', { log, draft: word })
      await run(alice, 'conversations.read', { log, seq: 2 })
      await run(alice, 'reports.create', { log, seq: 2, reason: 'spam', text: word })
      await send(store, alice, log, `to be reported ${word}`)
      const reported = (await readAll(store, bob, log)).at(-1)!.seq
      await run(bob, 'reports.create', { log, seq: reported, reason: 'spam' })
      const at = Date.now() + 3_600_000
      const planned = { caller: alice, id: word, log, type: 'text', bodyJson: `{"text":"${word}"}` }
      await store.perform({ task: 'scheduleSend', input: { ...planned, withheld: false, at } })

      // Groups: one that she is an admin of, one that she waits for, and one that she is banned from.
      const group = await createGroup(store, bob, alice, carol)
      const [admin, owner] = [handsOf(store, alice), handsOf(store, bob)]
      await owner.do('groups.setRole', { id: group, uid: alice.uid, role: 'admin' })
      await admin.do('groups.setNickname', { id: group, nickname: word })
      await admin.do('groups.announce', { id: group, text: 'Welcome' })
      await admin.do('groups.createLink', { id: group })
      await admin.do('groups.ban', { id: group, uid: dave.uid, reason: word })
      await say(store, alice, group, word)
      const guarded = await createGroup(store, bob, carol)
      await owner.do('groups.update', { id: guarded, approval: true })
      const { token } = await owner.do('groups.createLink', { id: guarded })
      await admin.do('groups.join', { token, text: word })
      const closed = await createGroup(store, bob, carol)
      await owner.do('groups.ban', { id: closed, uid: alice.uid })

      await leaveSession(store, alice, log)
      await leavePlainTraces(store, alice, word)
      await tables.query(
        `insert into api_key (hash, id, account, name, made_at)
         select '${word}', '${word}', n, '${word}', 0 from account where uid = '${alice.uid}'`,
      )

      const [{ n }] = (await tables.query(`select n from account where uid = '${alice.uid}'`)) as [
        { n: unknown },
      ]
      const person = { uid: alice.uid, account: Number(n) }
      expect(person.account).toBeGreaterThan(ACCOUNT_NUMBERS_FROM)
      const before = await findTraces(tables, person, [word, phone])
      expect(await tablesWithoutTrace(tables, before)).toEqual([])
      const words = before.told.filter((column) => !NOT_EXPORTED.has(column))
      expect(words.filter((column) => !EXPORTED.has(column))).toEqual([])
      const archive = await exportAll(store, alice)
      const isIn = (part: ExportPart) => [word, phone].some((text) => archive.get(part)!.includes(text))
      const unsaid = words.filter((column) => !isIn(EXPORTED.get(column)!))
      expect(unsaid).toEqual([])
      for (const part of ['links', 'readPointers', 'hidden', 'pins'] as const) {
        expect([part, archive.get(part)]).not.toEqual([part, '[]'])
      }

      await run(alice, 'accounts.erase', { confirm: alice.uid })
      await stepUntilDone(store)
      // The rest goes minutes later.
      await tables.query('update erasure set asked_at = 0')
      await stepUntilDone(store)
      await sweepFiles(store)

      const after = await findTraces(tables, person, [word, phone])
      expect(after.named.filter((column) => !NAMED_STILL.has(column))).toEqual([])
      expect(after.told.filter((column) => !TOLD_STILL.has(column))).toEqual([])

      // What others have stays as it was for them.
      const [mine, theirs] = await readAll(store, bob, log)
      expect(mine).toMatchObject({
        from: alice.uid,
        body: {},
        state: { recalled: { reason: 'erased' } },
      })
      expect(mine!.device).toBeUndefined()
      expect(theirs).toMatchObject({ from: bob.uid, body: { text: 'an answer' } })
      expect(theirs!.state?.reactions).toEqual({ ':+1:': 1 })
      // What was forwarded of hers is gone, beside what was not.
      const copies = await readAll(store, carol, directLog(bob, carol))
      expect(JSON.stringify(copies)).not.toContain(alice.uid)
      const gone = { type: 'text', body: {} }
      const copy = { from: bob.uid, body: { text: ofBobText } }
      expect(copies.filter(({ kind }) => kind !== 'notice')).toMatchObject([
        { from: bob.uid, body: {}, state: { recalled: { reason: 'erased' } } },
        copy,
        { body: { title: 'What was said', forwarded: [gone, copy] } },
        { body: { forwarded: [gone, copy, { type: 'forward', body: { forwarded: [gone, copy] } }] } },
        { kind: 'recall', type: 'erased', body: { seq: 1 } },
        { kind: 'edit', body: { seq: 3, body: { forwarded: [gone, copy] } } },
        { kind: 'edit', body: { seq: 4 } },
      ])
      const kept = await tables.query(
        `select id from media where id in ('${file}', '${sentFile}', '${avatar}')`,
      )
      expect(kept).toEqual([{ id: file }])
      await run(bob, 'media.get', { id: file })
      expect(await run(bob, 'messages.receipts', { log })).toEqual({ delivered: 0, read: 0 })
      const search = await run(bob, 'messages.search', { query: word })
      expect(search).toMatchObject({ items: [] })
    })
  })
}

/** As the sweep of files does it, with the bytes gone from storage. */
async function sweepFiles(store: Store): Promise<void> {
  const times = { uploadsBefore: 0, unusedBefore: 0, retiredBefore: 0 }
  const input = { after: { madeAt: 0, id: '' }, ...times, limit: 100 }
  const { doomed } = await store.perform({ task: 'sweepMedia', input })
  await store.perform({ task: 'forgetMedia', input: { ids: doomed.map(({ id }) => id) } })
}

/** The parts of an archive, as JSON. */
async function exportAll(store: Store, { uid }: Caller): Promise<Map<ExportPart, string>> {
  const parts = new Map<ExportPart, string>()
  for (const part of EXPORT_PARTS) {
    const items: object[] = []
    let after: ExportCursor | null = null
    do {
      const page: ExportPage = await store.perform({ task: 'exportPage', input: { uid, part, after } })
      items.push(...page.items)
      after = page.next
    } while (after !== null)
    parts.set(part, JSON.stringify(items))
  }
  return parts
}

/** Tables that can hold something of a person and do not: nothing would be learned of them. */
async function tablesWithoutTrace(tables: RawTables, { named, told }: Traces): Promise<string[]> {
  const seen = new Set([...named, ...told].map((column) => column.split('.')[0]))
  const empty: string[] = []
  for (const table of await tables.names()) {
    if (seen.has(table) || NOT_OF_PERSONS.has(table)) continue
    const [row] = await tables.query(`select * from "${table}" limit 1`)
    if (Object.keys(row ?? {}).some((column) => ACCOUNT_COLUMNS.includes(column))) empty.push(table)
  }
  return empty
}
