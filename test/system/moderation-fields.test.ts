/** What people write beside messages is screened by the list of words, in every call that writes such a field. */
import { describe, expect, test } from 'vitest'
import { SCREENED_FIELDS } from '../../services/moderation/screened-fields.ts'
import { admin } from '../harness/admin.ts'
import { Device } from '../harness/device.ts'
import type { HttpRefusal } from '../harness/http.ts'
import { directLog, makeAccounts, makeGroup, newFriends, newUid } from '../harness/people.ts'
import { sharedServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const server = sharedServer({ env: { WOCHAT_COSTLY_CALLS_PER_MINUTE_MAX: '0' } })

const by = <Result = Record<string, unknown>>(uid: string, operation: string, params: object) =>
  server.http<Result>(operation, params, server.token(uid, null))

type Stage = { alice: string; bob: string; dave: string; group: string; link: string }

/** How a field is written, and what somebody else reads of it. */
type Situation = {
  write: (stage: Stage, text: string) => Promise<unknown>
  read: (stage: Stage) => Promise<unknown>
}

async function setStage(): Promise<Stage> {
  const { alice, bob } = await newFriends(server)
  const dave = newUid('dave')
  await makeAccounts(server, dave)
  const group = await makeGroup(server, alice, [bob])
  await by(alice, 'groups.update', { id: group, approval: true })
  const { token: link } = await by<{ token: string }>(alice, 'groups.createLink', { id: group })
  return { alice, bob, dave, group, link }
}

const itemsOf = async <Item>(uid: string, operation: string, params: object = {}) =>
  (await by<{ items: Item[] }>(uid, operation, params)).items

type Profile = { name?: string; attributes: Record<string, string> }
const profile = async ({ alice, bob }: Stage) =>
  (await itemsOf<Profile>(bob, 'profile.get', { uids: [alice] }))[0]
const groupOf = ({ bob, group }: Stage) => by<Record<string, unknown>>(bob, 'groups.get', { id: group })

/** Of the groups of bob's that alice made last. */
async function newestGroup({ bob }: Stage): Promise<Record<string, unknown>> {
  const groups = await itemsOf<{ id: string }>(bob, 'groups.list')
  return by(bob, 'groups.get', { id: groups.at(-1)!.id })
}

type Room = { name: string; about?: string }
const newestRoom = async ({ bob }: Stage): Promise<Room | undefined> =>
  (await itemsOf<Room>(bob, 'rooms.list'))[0]

const SITUATIONS: Record<string, Situation> = {
  'profile.set name': {
    write: ({ alice }, name) => by(alice, 'profile.set', { name }),
    read: async (stage) => (await profile(stage))?.name,
  },
  'profile.set attributes': {
    write: ({ alice }, mood) => by(alice, 'profile.set', { attributes: { mood, city: 'Xi’an' } }),
    read: async (stage) => (await profile(stage))?.attributes.mood,
  },
  'contacts.request text': {
    write: ({ alice, dave }, text) => by(alice, 'contacts.request', { uid: dave, text }),
    read: async ({ dave }) => (await itemsOf<{ text?: string }>(dave, 'contacts.list'))[0]?.text,
  },
  'groups.create name': {
    write: ({ alice, bob }, name) => by(alice, 'groups.create', { name, members: [bob] }),
    read: async (stage) => (await newestGroup(stage)).name,
  },
  'groups.create about': {
    write: ({ alice, bob }, about) => by(alice, 'groups.create', { name: 'n', about, members: [bob] }),
    read: async (stage) => (await newestGroup(stage)).about,
  },
  'groups.update name': {
    write: ({ alice, group: id }, name) => by(alice, 'groups.update', { id, name }),
    read: async (stage) => (await groupOf(stage)).name,
  },
  'groups.update about': {
    write: ({ alice, group: id }, about) => by(alice, 'groups.update', { id, about }),
    read: async (stage) => (await groupOf(stage)).about,
  },
  'groups.announce text': {
    write: ({ alice, group: id }, text) => by(alice, 'groups.announce', { id, text }),
    read: async (stage) => ((await groupOf(stage)).announcement as { text: string } | undefined)?.text,
  },
  'groups.setNickname nickname': {
    write: ({ alice, group: id }, nickname) => by(alice, 'groups.setNickname', { id, nickname }),
    read: async ({ alice, bob, group: id }) => {
      type Members = { members: { uid: string; nickname?: string }[] }
      const { members } = await by<Members>(bob, 'groups.members', { id })
      return members.find(({ uid }) => uid === alice)?.nickname
    },
  },
  'groups.join text': {
    write: ({ dave, link: token }, text) => by(dave, 'groups.join', { token, text }),
    read: async ({ alice, group: id }) =>
      (await itemsOf<{ text?: string }>(alice, 'groups.requests', { id }))[0]?.text,
  },
  'rooms.create name': {
    write: ({ alice }, name) => by(alice, 'rooms.create', { name }),
    read: async (stage) => (await newestRoom(stage))?.name,
  },
  'rooms.create about': {
    write: ({ alice }, about) => by(alice, 'rooms.create', { name: 'r', about }),
    read: async (stage) => (await newestRoom(stage))?.about,
  },
}

/** The refusal of a call, or `taken`. */
const refusalOf = (call: Promise<unknown>) =>
  call.then(
    () => 'taken',
    ({ code, details }: HttpRefusal) => ({ code, details }),
  )

describe('the list of words', () => {
  test('screens every field that others see, and a refused one changes nothing', async () => {
    const fields = Object.entries(SCREENED_FIELDS).flatMap(([name, all]) =>
      all.map((one) => `${name} ${one}`),
    )
    expect(Object.keys(SITUATIONS).sort()).toEqual([...fields].sort())
    const stage = await setStage()
    const { alice, bob, dave, group } = stage
    const { seq } = await by<{ seq: number }>(alice, 'messages.send', { to: bob, text: 'first' })
    const log = directLog(alice, bob)
    const edit = { log, seq, body: { text: 'verboten' }, requestId: 'edit' }
    const room = { name: 'verboten', requestId: 'room' }
    const before = [await by(alice, 'rooms.create', room), await by(alice, 'messages.edit', edit)]
    await admin(server, 'setWords', {
      words: [
        { word: 'verboten', action: 'reject' },
        { word: 'hush', action: 'withhold' },
        { word: '坏话', action: 'mask' },
      ],
    })
    for (const place of server.nodes.keys()) {
      server.serveFrom(place)
      await until(async () => {
        const refusal = await refusalOf(by(alice, 'contacts.request', { uid: bob, text: 'verboten' }))
        return refusal !== 'taken'
      }, `the list in force on node ${place}`)
    }
    server.serveFrom(...server.nodes.keys())
    // What took effect under its requestId before the list was there has its result, and what did not has none.
    const again = () => [by(alice, 'rooms.create', room), by(alice, 'messages.edit', edit)]
    expect(await Promise.all(again())).toEqual(before)
    expect(await refusalOf(by(alice, 'rooms.create', { ...room, requestId: 'other' }))).toMatchObject({
      code: 'content_refused',
    })
    const masked = { name: '说坏话了', requestId: 'masked' }
    before.push(await by(alice, 'rooms.create', masked))
    using device = await Device.connect(server, bob, 'phone')
    using asked = await Device.connect(server, dave, 'phone')
    for (const [name, { write, read }] of Object.entries(SITUATIONS)) {
      const before = await read(stage)
      for (const text of ['so Verboten!', 'hush now']) {
        const field = name.split(' ')[1]
        expect(await refusalOf(write(stage, text)), name).toEqual({
          code: 'content_refused',
          details: { field },
        })
        expect(await read(stage), name).toBe(before)
      }
      await write(stage, '说坏话了')
      expect(await read(stage), name).toBe('说**了')
    }
    // Over MQTT as over HTTP; and what says nothing of it passes.
    expect((await device.call('profile.set', { name: 'verboten' }, 'r1')).code).toBe('content_refused')
    expect(await refusalOf(by(alice, 'profile.set', { attributes: { verboten: 'x' } }))).toMatchObject({
      code: 'content_refused',
    })
    await by(alice, 'groups.setNickname', { id: group, nickname: null })
    await by(alice, 'profile.set', { name: null, attributes: { mood: null } })
    await by(alice, 'contacts.update', { uid: bob, remark: 'verboten' })
    // Nobody heard of what was refused.
    await until(
      () => asked.inbox.some(({ kind, type }) => kind === 'contact' && type === 'asked'),
      'the request',
    )
    await until(() => device.inbox.some(({ type }) => type === 'nickname'), 'the entries of the group')
    const told = JSON.stringify([...device.inbox, ...asked.inbox])
    expect(told).toContain('说**了')
    expect(told).not.toMatch(/verboten|hush|坏话/i)

    await admin(server, 'removeWords', { words: ['verboten', 'hush', '坏话'] })
    await until(async () => {
      const taken = await refusalOf(by(alice, 'profile.set', { name: 'verboten' }))
      return taken === 'taken'
    }, 'the empty list in force')
    expect(await Promise.all([...again(), by(alice, 'rooms.create', masked)])).toEqual(before)
    expect(await refusalOf(by(alice, 'rooms.create', { ...masked, name: '说**了' }))).toMatchObject({
      code: 'id_conflict',
    })
  })
})
