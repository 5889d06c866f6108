/** A group of thousands, at the sockets: its size is what the operator allows, and few of its members are there at a time. */
import { expect, test } from 'vitest'
import { admin } from '../harness/admin.ts'
import { Device } from '../harness/device.ts'
import { newUid } from '../harness/people.ts'
import { sharedServer } from '../harness/server.ts'

const MEMBERS = 5000
/** What one call names, and one page has. */
const TOGETHER = 500

const server = sharedServer({
  env: { WOCHAT_GROUP_MEMBERS_MAX: String(MEMBERS), WOCHAT_CONTACTS_REQUIRED: 'false' },
})

const as = (uid: string) => server.token(uid, null)

/** A group as large as it may be, made as an operator would who moves it in. */
async function makeLargeGroup(): Promise<{ id: string; uids: string[] }> {
  const prefix = newUid('large')
  const uids = Array.from({ length: MEMBERS }, (_, n) => `${prefix}-${10_000 + n}`)
  const owner = as(uids[0]!)
  for (let n = 0; n < MEMBERS; n += TOGETHER) {
    const accounts = uids.slice(n, n + TOGETHER).map((uid) => ({ uid }))
    await admin(server, 'importAccounts', { accounts })
  }
  const { id } = await server.http<{ id: string }>('groups.create', { name: 'Everybody' }, owner)
  for (let n = 1; n < MEMBERS; n += TOGETHER) {
    await server.http('groups.add', { id, members: uids.slice(n, n + TOGETHER) }, owner)
  }
  return { id, uids }
}

test('a message to thousands reaches those who are there, and waits for who comes', async () => {
  const { id, uids } = await makeLargeGroup()
  const [author, first, last, away] = [uids[2500]!, uids[1]!, uids.at(-1)!, uids[4000]!]
  {
    using device = await Device.connect(server, away, 'phone', { clean: false })
    await device.leave()
  }
  using one = await Device.connect(server, first, 'phone')
  using another = await Device.connect(server, last, 'phone')
  using sender = await Device.connect(server, author, 'phone')
  const reply = await sender.send({ id: 'm1', to: id, body: { text: 'hello all', mentions: 'all' } })
  expect(reply).toMatchObject({ kind: 'accepted', log: id })
  for (const device of [one, another]) {
    expect(await device.untilText('hello all')).toMatchObject({ log: id, seq: reply.seq, from: author })
  }
  using back = await Device.connect(server, away, 'phone', { clean: false, subscribe: false })
  expect(await back.untilText('hello all')).toMatchObject({ log: id, seq: reply.seq, from: author })

  const listed: string[] = []
  for (let cursor: string | undefined; ; ) {
    const page = await server.http<{ members: { uid: string }[]; cursor?: string }>(
      'groups.members',
      { id, limit: TOGETHER, ...(cursor !== undefined && { cursor }) },
      as(away),
    )
    listed.push(...page.members.map(({ uid }) => uid))
    cursor = page.cursor
    if (cursor === undefined) break
  }
  expect(listed).toEqual(uids)

  const guest = newUid('guest')
  await admin(server, 'importAccounts', { accounts: [{ uid: guest }] })
  const added = server.http('groups.add', { id, members: [guest] }, as(uids[0]!))
  await expect(added).rejects.toMatchObject({ code: 'too_many_members' })
})
