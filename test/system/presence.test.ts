/** Presence: who is there, who may know it, and how those who watch hear of it. */
import { describe, expect, test } from 'vitest'
import { Device } from '../harness/device.ts'
import { LiveEvents } from '../harness/live-events.ts'
import { befriend, makeAccounts, makeGroup, newFriends, newUid } from '../harness/people.ts'
import { sharedServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const OFFLINE_DELAY_MS = 1000
const server = sharedServer({ env: { WOCHAT_OFFLINE_DELAY_MS: String(OFFLINE_DELAY_MS) } })

type Person = { uid: string; state: string; lastSeen?: number }

async function get(reader: string, ...uids: string[]): Promise<Person[]> {
  const { people } = await server.http<{ people: Person[] }>(
    'presence.get',
    { uids },
    server.token(reader, null),
  )
  return people
}

async function watch(device: Device, uids: string[], ref: string, leaseMs?: number): Promise<Person[]> {
  const reply = await device.call('presence.watch', { uids, ...(leaseMs !== undefined && { leaseMs }) }, ref)
  expect(reply).toMatchObject({ kind: 'result' })
  return (reply.result as { people: Person[] }).people
}

describe('who is there', () => {
  test('a person is offline with the time they left, online, and away when all their devices are', async () => {
    const { alice, bob } = await newFriends(server)
    expect(await get(alice, bob)).toEqual([{ uid: bob, state: 'offline' }])
    const phone = await Device.connect(server, bob, 'phone')
    expect(await get(alice, bob)).toEqual([{ uid: bob, state: 'online' }])
    using pc = await Device.connect(server, bob, 'pc')
    const [ofPhone, ofPc] = await Promise.all([phone, pc].map((device) => LiveEvents.follow(device)))
    ofPhone!.signal({ kind: 'background' })
    await phone.settle()
    expect(await get(alice, bob)).toMatchObject([{ state: 'online' }])
    ofPc!.signal({ kind: 'background' })
    await until(async () => (await get(alice, bob))[0]!.state === 'away', 'bob to be away')
    const leftAt = Date.now()
    phone.cut()
    pc.cut()
    const gone = await until(
      async () => (await get(alice, bob)).find(({ state }) => state === 'offline'),
      'bob to go',
    )
    expect(gone.lastSeen).toBeGreaterThanOrEqual(leftAt - 60_000)
    expect(gone.lastSeen).toBeLessThanOrEqual(Date.now())
  })

  test('strangers, the blocked and everybody under "nobody" are told no more than of somebody who does not exist', async () => {
    const { alice, bob } = await newFriends(server)
    const stranger = newUid('stranger')
    await makeAccounts(server, stranger)
    using _ = await Device.connect(server, bob, 'phone')
    const unknown = [{ uid: bob, state: 'unknown' }]
    expect(await get(stranger, bob, 'nobody.at.all')).toEqual([
      ...unknown,
      { uid: 'nobody.at.all', state: 'unknown' },
    ])
    await server.http('settings.set', { lastSeenTo: 'everybody' }, server.token(bob, null))
    expect(await get(stranger, bob)).toMatchObject([{ state: 'online' }])
    await server.http('contacts.block', { uid: stranger }, server.token(bob, null))
    expect(await get(stranger, bob)).toEqual(unknown)
    await server.http('settings.set', { lastSeenTo: 'nobody' }, server.token(bob, null))
    expect(await get(alice, bob)).toEqual(unknown)
    expect(await get(bob, bob)).toMatchObject([{ state: 'online' }])
  })

  test('of a group, its members hear who is there, and strangers nothing', async () => {
    const { alice, bob } = await newFriends(server)
    const carol = newUid('carol')
    await befriend(server, alice, carol)
    const group = await makeGroup(server, alice, [bob, carol])
    using _ = await Device.connect(server, bob, 'phone')
    const ask = (uid: string) => server.http('presence.ofGroup', { id: group }, server.token(uid, null))
    expect(await ask(alice)).toEqual({ people: [{ uid: bob, state: 'online' }] })
    const stranger = newUid('stranger')
    await makeAccounts(server, stranger)
    await expect(ask(stranger)).rejects.toMatchObject({ code: 'unknown_group' })
  })
})

describe('a watch', () => {
  test('tells each change once, and none of a connection that comes back at once', async () => {
    const { alice, bob } = await newFriends(server)
    using watching = await Device.connect(server, alice, 'phone')
    const live = await LiveEvents.follow(watching)
    expect(await watch(watching, [bob], 'w')).toEqual([{ uid: bob, state: 'offline' }])
    const phone = await Device.connect(server, bob, 'phone')
    expect(await live.next('presence')).toEqual({ kind: 'presence', uid: bob, state: 'online' })
    phone.cut()
    using back = await Device.connect(server, bob, 'phone')
    ;(await LiveEvents.follow(back)).signal({ kind: 'background' })
    await live.next('presence', ({ state }) => state === 'away')
    back.cut()
    const { lastSeen } = await live.next('presence', ({ state }) => state === 'offline')
    expect(Math.abs((lastSeen as number) - Date.now())).toBeLessThan(15_000)
    expect(live.events.map(({ state }) => state)).toEqual(['online', 'away', 'offline'])
  })

  test('ends with its lease, and with presence.unwatch', async () => {
    const { alice, bob } = await newFriends(server)
    const carol = newUid('carol')
    await befriend(server, alice, carol)
    using watching = await Device.connect(server, alice, 'phone')
    const live = await LiveEvents.follow(watching)
    const before = Date.now()
    await watch(watching, [bob], 'short', 1000)
    await watch(watching, [carol], 'long')
    await watching.call('presence.unwatch', { uids: [carol] }, 'unwatch')
    await until(() => Date.now() > before + 1500, 'the lease to end')
    using _phone = await Device.connect(server, bob, 'phone')
    using _other = await Device.connect(server, carol, 'phone')
    await watch(watching, [bob, carol], 'again')
    await watching.settle()
    expect(live.events).toEqual([])
  })

  test('needs a connection, takes no more than its bounds, and refuses what is malformed', async () => {
    const { alice, bob } = await newFriends(server)
    const token = server.token(alice, 'phone')
    const refusal = (operation: string, params: unknown) =>
      server.http(operation, params, token).then(
        () => 'accepted',
        (error: { code: string }) => error.code,
      )
    expect(await refusal('presence.watch', { uids: [bob] })).toBe('connection_required')
    expect(await refusal('presence.unwatch', {})).toBe('connection_required')
    const many = (from: number, count: number) => Array.from({ length: count }, (_, i) => `p${from + i}`)
    for (const uids of [[], many(0, 201), [bob, bob], ['no uid!'], 'bob', undefined]) {
      expect(await refusal('presence.get', { uids }), String(uids)).toBe('bad_request')
    }
    expect(await refusal('presence.get', { uids: [bob], more: 1 })).toBe('bad_request')
    expect(await refusal('presence.ofGroup', { id: 'g:nowhere' })).toBe('unknown_group')
    expect(await refusal('presence.ofGroup', { id: 'g:nowhere', cursor: 'x' })).toBe('bad_request')
    using device = await Device.connect(server, alice, 'phone')
    const reply = await device.call('presence.watch', { uids: [bob], leaseMs: 3_600_000 }, 'long')
    expect(reply).toMatchObject({ kind: 'refused', code: 'bad_request' })
  })

  test('ends when the watched person blocks the one who watches', async () => {
    const { alice, bob } = await newFriends(server)
    using watching = await Device.connect(server, alice, 'phone')
    const live = await LiveEvents.follow(watching)
    await watch(watching, [bob], 'w')
    await server.http('contacts.block', { uid: alice }, server.token(bob, null))
    expect(await watch(watching, [bob], 'again')).toEqual([{ uid: bob, state: 'unknown' }])
    using _ = await Device.connect(server, bob, 'phone')
    await watching.settle()
    expect(live.events).toEqual([])
  })
})
