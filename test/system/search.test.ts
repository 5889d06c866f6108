/** Searching for messages, as an app does it while somebody types. */
import { describe, expect, test } from 'vitest'
import { Device } from '../harness/device.ts'
import { directLog, newFriends } from '../harness/people.ts'
import { sharedServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const server = sharedServer()

type Found = { items: { entry: { seq: number; body: { text?: string } } }[] }

describe('a search', () => {
  test('finds a message soon after it was sent, by its first letters too, over both ways, until it is recalled', async () => {
    const { alice, bob } = await newFriends(server)
    using phone = await Device.connect(server, alice, 'phone')
    const log = directLog(alice, bob)
    const { seq } = await phone.send({ id: 's1', to: bob, text: 'Extraordinary weather, 明天见面' })
    const search = (query: string) =>
      server.http<Found>('messages.search', { query }, server.token(bob, null))
    await until(async () => (await search('weather')).items.length === 1, 'the message to be found')
    for (const query of ['e', 'ext', 'extra', 'extraordina', 'WEATHER extraordinary', '见面', '天见']) {
      expect({ query, items: (await search(query)).items.map(({ entry }) => entry.seq) }).toEqual({
        query,
        items: [seq],
      })
    }
    for (const query of ['xtra', 'extraordinarily', '面见']) expect((await search(query)).items).toEqual([])
    const { result } = await phone.call('messages.search', { query: 'weath' }, 'search')
    expect((result as Found).items).toHaveLength(1)
    await server.http('messages.recall', { log, seq }, server.token(alice, 'phone'))
    expect((await search('weather')).items).toEqual([])
  })
})
