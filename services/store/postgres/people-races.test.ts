/** Two nodes decide about the same people at once: two store objects over one database. */
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { DeviceId, LogId, UserId } from '../../../protocol/ids.ts'
import {
  addMembers,
  befriend,
  createFriends,
  createGroup,
  createPeople,
  createUid,
  directLog,
  groupsOf,
  leaveGroup,
  noticesOf,
  readAll,
  send,
  seqsOf,
} from '../../../test/contract/store/people.ts'
import { createDatabase, type TestDatabase } from '../../../test/harness/postgres.ts'
import type { Caller, Store } from '../contract.ts'
import { DEFAULT_POLICY } from '../policy.ts'
import { openPostgresStore } from './postgres-store.ts'

const HOUR_MS = 3_600_000
const ROUNDS = 10

let database: TestDatabase
let nodes: [Store, Store]
/** The feed of both nodes. */
let ended: string[]

const CONTACTS_MAX = 16
const MEMBERS_MAX = 5

beforeAll(async () => {
  database = await createDatabase()
  nodes = [await openNode('a'), await openNode('b')]
})
beforeEach(() => {
  ended = []
})
afterAll(async () => {
  await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()))
  await database[Symbol.asyncDispose]()
})

async function openNode(node: string): Promise<Store> {
  const store = await openPostgresStore({
    url: database.url,
    node,
    policy: { ...DEFAULT_POLICY, contactsMax: CONTACTS_MAX, groupMembersMax: MEMBERS_MAX },
    connectionsMax: 8,
    waitingSendsMax: 1000,
    retryMs: 5000,
    applicationName: `test ${node}`,
    log: { info() {}, warn() {}, error() {} },
  })
  store.feed = { ...store.feed, loginEnded: (_uid, _device, sid) => void ended.push(String(sid)) }
  return store
}

/** The same on both nodes at once: what it gave, or the code of its refusal, in no order. */
async function onBoth(call: (store: Store, node: number) => Promise<unknown>): Promise<unknown[]> {
  const both = nodes.map((store, node) =>
    call(store, node).catch((error: { code?: string }) => error.code ?? error),
  )
  return Promise.all(both)
}

const rounds = async (round: (n: number) => Promise<void>) => {
  for (let n = 0; n < ROUNDS; n++) await round(n)
}

let numbers = 100_000
const newPhone = () => `+${++numbers}`

async function recordCode(
  phone: string,
  more: Partial<Parameters<Store['recordCode']>[0]> = {},
): Promise<string> {
  await nodes[0].recordCode({ ...codeOf(phone), ...more })
  return `hash of ${phone}`
}

const codeOf = (phone: string, address = phone) => ({
  phone,
  address,
  codeHash: `hash of ${phone}`,
  expiresAt: Date.now() + HOUR_MS,
  perPhoneMax: 1000,
  perAddressMax: 1000,
  windowMs: HOUR_MS,
})

let sids = 0
const loginOf = (phone: string, more: Partial<Parameters<Store['login']>[0]> = {}) => ({
  phone,
  codeHash: `hash of ${phone}`,
  triesMax: 5,
  uid: null,
  newUid: createUid('new'),
  device: { id: 'phone' as DeviceId, kind: 'phone', name: 'Phone' },
  devicesMax: 10,
  sid: `sid-${++sids}`,
  refreshHash: `refresh-${sids}`,
  refreshExpiresAt: Date.now() + HOUR_MS,
  ...more,
})

describe('login codes', () => {
  it('open one login, and make one account, when both nodes get them at once', () =>
    rounds(async () => {
      const phone = newPhone()
      await recordCode(phone)
      const answers = await onBoth((store) => store.login(loginOf(phone)))
      expect(answers).toContainEqual({ refused: 'bad_code' })
      expect(answers).toContainEqual({ uid: expect.any(String) })
    }))

  it('count every wrong try of both nodes', async () => {
    const phone = newPhone()
    const codeHash = await recordCode(phone)
    const wrong = { codeHash: 'wrong', triesMax: 20 }
    const tries = Array.from({ length: 10 }, () => onBoth((store) => store.login(loginOf(phone, wrong))))
    await Promise.all(tries)
    expect(await nodes[0].login(loginOf(phone, { codeHash, triesMax: 20 }))).toEqual({ refused: 'bad_code' })
    expect(await nodes[0].login(loginOf(phone, { codeHash, triesMax: 21 }))).toEqual({
      uid: expect.any(String),
    })
  })

  it('are counted by phone and by address across nodes', async () => {
    const phone = newPhone()
    const take = () => onBoth((store) => store.recordCode({ ...codeOf(phone), perPhoneMax: 5 }))
    const answers = (await Promise.all(Array.from({ length: 10 }, take))).flat()
    expect(answers.filter((answer) => (answer as { taken: boolean }).taken)).toHaveLength(5)
    const address = 'one network'
    const spread = () =>
      onBoth((store) => store.recordCode({ ...codeOf(newPhone(), address), perAddressMax: 7 }))
    const others = (await Promise.all(Array.from({ length: 10 }, spread))).flat()
    expect(others.filter((answer) => (answer as { taken: boolean }).taken)).toHaveLength(7)
  })

  it('give a uid that two want at once to one of them, who can use the code of the other again', () =>
    rounds(async () => {
      const uid = createUid('wanted')
      const phones = [newPhone(), newPhone()]
      await Promise.all(phones.map((phone) => recordCode(phone)))
      const answers = await onBoth((store, node) => store.login(loginOf(phones[node]!, { uid })))
      expect(answers).toContainEqual({ uid })
      expect(answers).toContain('uid_taken')
      const loser = phones[answers.indexOf('uid_taken')]!
      expect(await nodes[0].login(loginOf(loser))).toEqual({ uid: expect.any(String) })
    }))
})

describe('logins', () => {
  it('end when a refresh token is used on both nodes at once', () =>
    rounds(async () => {
      const phone = newPhone()
      await recordCode(phone)
      const input = loginOf(phone)
      await nodes[0].login(input)
      const { sid, refreshHash } = input
      const answers = await onBoth((store, node) =>
        store.refresh({ sid, refreshHash, nextHash: `next-${node}`, nextExpiresAt: Date.now() + HOUR_MS }),
      )
      expect(answers).toContainEqual({ refused: 'refresh_reused' })
      expect(answers).toContainEqual({ uid: expect.any(String), device: 'phone' })
      expect(ended.filter((one) => one === sid)).toHaveLength(1)
    }))

  it('that are ended on both nodes are reported once', () =>
    rounds(async () => {
      const phone = newPhone()
      await recordCode(phone)
      const input = loginOf(phone)
      const { uid } = (await nodes[0].login(input)) as { uid: UserId }
      await onBoth((store) => store.endLogin({ uid, sid: input.sid }))
      expect(ended.filter((one) => one === input.sid)).toHaveLength(1)
      expect(await nodes[1].devices(uid)).toEqual([])
    }))

  it('a login and a session that is opened at once keep to the bound on devices', () =>
    rounds(async (n) => {
      const phone = newPhone()
      await recordCode(phone)
      const uid = createUid('owner')
      await nodes[0].login(loginOf(phone, { uid }))
      await recordCode(phone)
      const device = `tablet-${n}` as DeviceId
      const answers = await onBoth((store, node) =>
        node === 0
          ? store.login(
              loginOf(phone, { device: { id: 'pc' as DeviceId, kind: '', name: '' }, devicesMax: 2 }),
            )
          : store.openSession({
              clientId: `${uid}/${device}` as never,
              uid,
              device,
              sid: null,
              issuedAt: Date.now(),
              cleanStart: true,
              persistent: true,
              devicesMax: 2,
            }),
      )
      expect(answers).toContain('too_many_devices')
      expect(await nodes[0].devices(uid)).toHaveLength(2)
    }))

  it('a session that opens while its login ends is refused or ended', () =>
    rounds(async () => {
      const phone = newPhone()
      await recordCode(phone)
      const input = loginOf(phone)
      const { uid } = (await nodes[0].login(input)) as { uid: UserId }
      const open = (sid: string | null, cleanStart: boolean) => ({
        clientId: `${uid}/phone` as never,
        uid,
        device: 'phone' as DeviceId,
        sid,
        issuedAt: Date.now() + 2000,
        cleanStart,
        persistent: true,
        devicesMax: 5,
      })
      await onBoth((store, node) =>
        node === 0 ? store.endLogin({ uid, sid: input.sid }) : store.openSession(open(input.sid, true)),
      )
      expect((await nodes[0].openSession(open(null, false))).present).toBe(false)
    }))
})

describe('contacts', () => {
  it('two accepts at once make one friendship, told once', () =>
    rounds(async () => {
      const [alice, bob] = await createPeople(nodes[0], 'alice', 'bob')
      await nodes[0].run({ name: 'contacts.request', caller: alice, params: { uid: bob.uid } })
      const answers = await onBoth((store) =>
        store.run({ name: 'contacts.accept', caller: bob, params: { uid: alice.uid } }),
      )
      expect(answers).toContainEqual({})
      expect(answers).toContain('no_request')
      expect((await noticesOf(nodes[1], alice)).map(({ type }) => type)).toEqual(['requested', 'friend'])
    }))

  it('two who ask each other on two nodes are friends', () =>
    rounds(async () => {
      const pair = await createPeople(nodes[0], 'alice', 'bob')
      const answers = await onBoth((store, node) =>
        store.run({ name: 'contacts.request', caller: pair[node]!, params: { uid: pair[1 - node]!.uid } }),
      )
      expect(answers).toContainEqual({ state: 'friend' })
      await send(nodes[0], pair[0], directLog(...pair), 'hello')
    }))

  it('a list is never fuller than its bound, though many ask at once', async () => {
    const [hub, ...others] = await createPeople(nodes[0], 'hub', ...'abcdefghijklmnopqrstuv')
    const answers = await Promise.all(
      others.map((other, i) =>
        nodes[i % 2]!.run({ name: 'contacts.request', caller: other, params: { uid: hub!.uid } }).catch(
          (error: { code: string }) => error.code,
        ),
      ),
    )
    expect(answers.filter((answer) => answer === 'too_many_contacts')).toHaveLength(
      others.length - CONTACTS_MAX,
    )
    expect((await nodes[1].run({ name: 'contacts.list', caller: hub!, params: {} })).items).toHaveLength(
      CONTACTS_MAX,
    )
  })

  it('crossing changes of many pairs end, with every notice in its log', async () => {
    const people = await createPeople(nodes[0], ...'abcdef')
    const pairs = people.flatMap((a, i) => people.slice(i + 1).map((b): [Caller, Caller] => [a, b]))
    await Promise.all(
      pairs.map(async ([a, b], i) => {
        await befriend(nodes[i % 2]!, a, b)
        await nodes[(i + 1) % 2]!.run({ name: 'contacts.remove', caller: b, params: { uid: a.uid } })
      }),
    )
    for (const person of people) {
      expect((await nodes[0].run({ name: 'contacts.list', caller: person, params: {} })).items).toEqual([])
      const entries = await readAll(nodes[0], person, `n:${person.uid}` as LogId)
      expect(seqsOf(entries)).toEqual(entries.map((_, i) => i + 1))
      expect(entries).toHaveLength((people.length - 1) * 3)
    }
  })
})

const membersOf = async (store: Store, caller: Caller, id: string) =>
  (await store.run({ name: 'groups.members', caller, params: { id } })).members

describe('groups', () => {
  it('take members up to their bound and no further, though both nodes add', () =>
    rounds(async () => {
      const [alice, ...others] = await createFriends(
        nodes[0],
        'alice',
        'b',
        'c',
        'd',
        'e',
        'f',
        'g',
        'h',
        'i',
      )
      const id = await createGroup(nodes[0], alice)
      const answers = await onBoth((store, node) =>
        addMembers(store, alice, id, ...others.slice(node * 4, node * 4 + 4)),
      )
      expect(answers).toContain('too_many_members')
      expect(await membersOf(nodes[1], alice, id)).toHaveLength(5)
    }))

  it('let a person in once when both nodes add them, with one entry', () =>
    rounds(async () => {
      const [alice, bob] = await createFriends(nodes[0], 'alice', 'bob')
      const id = await createGroup(nodes[0], alice)
      const add = (store: Store) => addMembers(store, alice, id, bob)
      const answers = await onBoth(add)
      expect(answers).toContainEqual({ added: [bob.uid] })
      expect(answers).toContainEqual({ added: [] })
      expect((await groupsOf(nodes[0], bob))[0]).toMatchObject({ members: 2 })
    }))

  it('keep an owner who is a member, when owner and heir leave at once', () =>
    rounds(async () => {
      const [alice, bob, carol] = await createFriends(nodes[0], 'alice', 'bob', 'carol')
      const id = await createGroup(nodes[0], alice, bob, carol)
      const leaving = [alice, bob]
      await onBoth((store, node) => leaveGroup(store, leaving[node]!, id))
      expect(await membersOf(nodes[0], carol, id)).toMatchObject([{ uid: carol.uid, role: 'owner' }])
    }))

  it('hold windows that fit their entries while members come, go and write on both nodes', async () => {
    const [alice, bob, carol] = await createFriends(nodes[0], 'alice', 'bob', 'carol')
    const id = await createGroup(nodes[0], alice, carol)
    const coming = rounds(async () => {
      await addMembers(nodes[0], alice, id, bob)
      await leaveGroup(nodes[1], bob, id)
    })
    const writing = Promise.all(Array.from({ length: 100 }, (_, i) => send(nodes[i % 2]!, carol, id, `${i}`)))
    await Promise.all([coming, writing])
    const all = await readAll(nodes[0], alice, id)
    expect(seqsOf(all)).toEqual(all.map((_, i) => i + 1))
    // Between an entry that lets bob in and the one with which he leaves, and nothing else.
    let isIn = false
    const expected = all.filter((entry) => {
      const wasIn = isIn
      if (entry.type === 'added') isIn = true
      if (entry.type === 'left') isIn = false
      return isIn || wasIn
    })
    expect(seqsOf(await readAll(nodes[1], bob, id))).toEqual(seqsOf(expected))
  })
})

it('none of this met a deadlock, which a store would run again unseen', async () => {
  // A connection that ends has reported what it counted.
  await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()))
  const client = new pg.Client(database.url)
  await client.connect()
  const { rows } = await client.query(
    'select deadlocks::int from pg_stat_database where datname = current_database()',
  )
  await client.end()
  nodes = [await openNode('a'), await openNode('b')]
  expect(rows).toEqual([{ deadlocks: 0 }])
})
