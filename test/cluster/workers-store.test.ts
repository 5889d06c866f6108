/** The store over a channel keeps the contract of the store, and tells every worker of every commit in order. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { duplexPair } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buildClientId } from '../../protocol/ids.ts'
import type { Caller, Store } from '../../services/store/contract.ts'
import { Channel } from '../../services/store/remote/channel.ts'
import { encodeValue } from '../../services/store/remote/frame.ts'
import type { StoreHost } from '../../services/store/remote/host.ts'
import { recordFeed } from '../contract/store/feed-recorder.ts'
import {
  addMembers,
  createFriends,
  createGroup,
  directLog,
  leaveGroup,
  pageOf,
  send,
} from '../contract/store/people.ts'
import { openStore as openEmbeddedStore } from '../contract/store/sqlite-engine.ts'
import { transportContract } from '../contract/store/store-contract.ts'
import { expectBrokenSendRefused, expectOneRefused } from '../contract/store/unclonable-call.ts'
import { until } from '../harness/wait.ts'
import { attachWorker, createHost, createWorkerEngine, ORPHAN_EXPIRY_MS } from './workers-store-engine.ts'

describe('the SQLite store behind a channel', () => {
  let engine: Awaited<ReturnType<typeof createWorkerEngine>>
  beforeAll(async () => {
    engine = await createWorkerEngine()
  })
  afterAll(() => engine[Symbol.asyncDispose]())

  transportContract(() => engine)
})

describe('two workers at one store', () => {
  let folder: string
  let embedded: Store
  let host: StoreHost
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'wochat-workers-'))
    embedded = await openEmbeddedStore(folder)
    host = createHost(embedded)
  })
  afterAll(async () => {
    await embedded[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })

  test('refuse a call with what cannot leave the process, and not what was handed in beside it', async () => {
    await expectOneRefused(attachWorker(host).store)
  })

  test('refuse a send that cannot be packed, and not what was handed in beside it', async () => {
    await expectBrokenSendRefused(attachWorker(host).store)
  })

  test('hear the same of every commit, in one order, whoever made it', async () => {
    const one = attachWorker(host).store
    const two = attachWorker(host).store
    const [alice, bob, carol] = await createFriends(one, 'alice', 'bob', 'carol')
    const [heardByOne, heardByTwo] = [recordFeed(one), recordFeed(two)]
    const group = await createGroup(two, alice, bob)
    const work: Promise<unknown>[] = []
    for (let i = 0; i < 200; i++) {
      work.push(send(i % 2 === 0 ? one : two, alice, directLog(alice, bob), `message ${i} é漢`))
      if (i === 50) {
        work.push(addMembers(one, bob, group, carol))
      }
      if (i === 120) work.push(leaveGroup(two, carol, group))
    }
    await Promise.allSettled(work)
    await Promise.all([one.health(), two.health()])
    expect(heardByOne.entries.filter(({ kind }) => kind === 'message')).toHaveLength(200)
    expect(heardByTwo.said).toEqual(heardByOne.said)
    expect(heardByTwo.entries).toEqual(heardByOne.entries)
  })

  test('have heard of a commit when a later call is answered, on the worker that did not make it too', async () => {
    const sender = attachWorker(host).store
    const reader = attachWorker(host).store
    const [alice, bob] = await createFriends(sender, 'alice', 'bob')
    const log = directLog(alice, bob)
    const heard = recordFeed(reader)
    let last = 0
    for (let i = 1; i <= 100; i++) {
      const sent = send(sender, alice, log, `message ${i}`)
      if (i % 3 === 0) await sent
      // The answer says what the log holds: all of that has rung before.
      const { head } = await pageOf(reader, bob, log, { limit: 1 })
      const rung = heard.entries.filter((entry) => entry.log === log).at(-1)?.seq ?? head
      expect(rung).toBeGreaterThanOrEqual(head)
      last = head
    }
    expect(last).toBe(100)
  })

  test('a worker that dies leaves its sessions to expire, but not those that went on elsewhere', async () => {
    const doomed = attachWorker(host)
    const living = attachWorker(host)
    const [alice, bob, carol] = await createFriends(living.store, 'alice', 'bob', 'carol')
    await openSession(doomed.store, alice)
    await openSession(doomed.store, bob)
    await openSession(doomed.store, bob)
    await openSession(living.store, bob)
    await openSession(living.store, carol)
    // In the middle of being opened when the worker dies.
    const opening = openSession(doomed.store, carol).catch(() => null)
    await doomed.die()
    await opening
    const until = Date.now() + ORPHAN_EXPIRY_MS
    const expiring = await expiringSessions(folder)
    expect(expiring.map(({ clientId }) => clientId)).not.toContain(clientIdOf(bob))
    const ofAlice = expiring.find(({ clientId }) => clientId === clientIdOf(alice))
    expect(ofAlice?.expiresAt).toBeLessThanOrEqual(until)
    expect(ofAlice?.expiresAt).toBeGreaterThan(until - ORPHAN_EXPIRY_MS)
  })

  test('a worker that dies with sends in the store does not harm the others, and they are committed', async () => {
    const doomed = attachWorker(host)
    const living = attachWorker(host).store
    const [alice, bob] = await createFriends(living, 'alice', 'bob')
    const log = directLog(alice, bob)
    const heard = recordFeed(living)
    await send(doomed.store, alice, log, 'acknowledged')
    const refusals = [1, 2, 3].map((i) =>
      send(doomed.store, alice, log, `lost ${i}`).catch(({ code }) => code),
    )
    await doomed.die()
    expect(await Promise.all(refusals)).toEqual(Array(3).fill('shutting_down'))
    await send(living, bob, log, 'goes on')
    expect(heard.said).toContain('entry bob 2 goes on')
    expect(heard.said.filter((said) => said.startsWith('entry alice'))).toEqual([
      'entry alice 1 acknowledged',
    ])
  })
})

describe('a channel', () => {
  test('gives up an end that takes nothing, instead of growing', async () => {
    const [here] = duplexPair()
    const channel = new Channel(here, 1024 * 1024)
    let closed = 0
    channel.onClose = () => closed++
    for (let i = 0; i < 100 && !channel.isClosed; i++) channel.write(encodeValue(9, 'x'.repeat(64 * 1024)))
    expect(channel.isClosed).toBe(true)
    expect(closed).toBe(1)
  })

  test('is closed by bytes that are no frame', async () => {
    const [here, there] = duplexPair()
    const channel = new Channel(there)
    here.write(Buffer.alloc(100))
    await until(() => channel.isClosed, 'the channel to close')
  })

  test('joins frames that come in pieces, whatever the pieces are', async () => {
    const [here, there] = duplexPair()
    const channel = new Channel(there)
    const values: unknown[] = []
    channel.on(9, (frame) => {
      values.push(frame.bytes.length)
      return false
    })
    const frames = Buffer.concat([1, 5000, 70_000, 3].map((size) => encodeValue(9, 'y'.repeat(size))))
    for (let at = 0, step = 1; at < frames.length; at += step, step = (step * 7) % 4099) {
      here.write(frames.subarray(at, at + step))
    }
    await until(() => values.length === 4, 'four frames')
  })
})

const clientIdOf = ({ uid, device }: Caller) => buildClientId(uid, device!)

function openSession(store: Store, person: Caller) {
  return store.openSession({
    clientId: clientIdOf(person),
    uid: person.uid,
    device: person.device!,
    sid: null,
    issuedAt: Date.now(),
    cleanStart: false,
    persistent: true,
    devicesMax: 10,
  })
}

async function expiringSessions(folder: string): Promise<{ clientId: string; expiresAt: number }[]> {
  const { DatabaseSync } = await import('node:sqlite')
  const db = new DatabaseSync(join(folder, 'wochat.sqlite'), { readOnly: true })
  const rows = db
    .prepare(
      'select client_id as clientId, expires_at as expiresAt from session where expires_at is not null',
    )
    .all()
  db.close()
  return rows as { clientId: string; expiresAt: number }[]
}
