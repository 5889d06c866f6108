/** A group of 10,000 over three nodes, a tenth of it online: what is away costs nothing, what is online gets all. */
import { expect, test } from 'vitest'
import { Device } from '../harness/device.ts'
import { inTurns, makeAccounts, makeGroup } from '../harness/people.ts'
import { startServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const MEMBERS = 10_000
const ONLINE = 1000
const MESSAGES = 10

test('every online member of a group of 10,000 gets every message, once and in order, and it is stored once', async () => {
  await using server = await startServer({
    env: { WOCHAT_CONTACTS_REQUIRED: 'false', WOCHAT_GROUP_MEMBERS_MAX: String(MEMBERS + 1) },
    nodes: [{}, {}, {}],
  })
  const members = Array.from({ length: MEMBERS }, (_, i) => `m${i}`)
  await inTurns(members, 32, async (uid) => makeAccounts(server, uid))
  await makeAccounts(server, 'owner')
  const group = await makeGroup(server, 'owner', members.slice(0, 100))
  for (let from = 100; from < MEMBERS; from += 100) {
    const added = members.slice(from, from + 100)
    await server.http('groups.add', { id: group, members: added }, server.token('owner', null))
  }
  const online: Device[] = []
  await inTurns(members.slice(0, ONLINE), 32, async (uid) => {
    online.push(await Device.connect(server, uid, 'phone'))
  })
  const entriesBefore = (await server.metrics()).sum('wochat_entries_total')
  using owner = await Device.connect(server, 'owner', 'phone')
  for (let i = 0; i < MESSAGES; i++) await owner.send({ id: `g${i}`, to: group, text: `text ${i}` })
  await until(
    () => online.every((device) => device.messages.length >= MESSAGES),
    () => `${online.filter((device) => device.messages.length < MESSAGES).length} members wait`,
    60_000,
  )
  const texts = Array.from({ length: MESSAGES }, (_, i) => `text ${i}`)
  for (const device of online) {
    expect(device.texts).toEqual(texts)
    expect(device.inbox.filter(({ kind }) => kind === 'message')).toHaveLength(MESSAGES)
    device.cut()
  }
  expect((await server.metrics()).sum('wochat_entries_total') - entriesBefore).toBe(MESSAGES)
}, 300_000)
