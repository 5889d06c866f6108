import { describe, expect, test } from 'vitest'
import type { Params } from '../../../protocol/catalogue/catalogue.ts'
import type { LogId } from '../../../protocol/ids.ts'
import { sendAndWait } from '../../../services/messages/awaited-send.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import { createFriends, createGroup, directLog, refusalOf, send } from './people.ts'
import { openRawTables } from './raw-tables.ts'

/** Indexes all that is committed; other tests' messages too, as every test of an engine has one store. */
async function indexAll(store: Store): Promise<void> {
  while ((await store.perform({ task: 'indexMessages', input: { limit: 500 } })) > 0);
}

type Search = Omit<Params<'messages.search'>, 'query'>

const search = (store: Store, caller: Caller, query: string, more: Search = {}) =>
  store.run({ name: 'messages.search', caller, params: { query, ...more } })

/** Texts of what is found, the newest first. */
async function textsOf(store: Store, caller: Caller, query: string, more?: Search): Promise<string[]> {
  const { items } = await search(store, caller, query, more)
  return items.map(({ entry }) => (entry.body as { text: string }).text)
}

async function say(store: Store, from: Caller, log: LogId, ...texts: string[]): Promise<number[]> {
  const seqs: number[] = []
  for (const text of texts) seqs.push((await send(store, from, log, text)).seq)
  await indexAll(store)
  return seqs
}

/** Windows on so many groups, in which nothing was said. */
async function joinGroups(engine: StoreEngine, { uid }: Caller, count: number): Promise<void> {
  await using tables = await openRawTables(engine)
  await tables.query(
    `with recursive number (n) as (select 1 union all select n + 1 from number where n < ${count})
     insert into log (name, epoch, head, messages, first, last_at)
     select 'g:of.${uid}.' || n, 1, 0, 0, 1, 0 from number`,
  )
  const made = `log join account on account.uid = '${uid}' where log.name like 'g:of.${uid}.%'`
  await tables.query(
    `insert into chat_group (log, name, owner, members, created_at) select log.n, 'one of many', account.n, 1, 0 from ${made}`,
  )
  await tables.query(
    `insert into membership (account, log, from_seq, to_seq, joined_at) select account.n, log.n, 1, null, 0 from ${made}`,
  )
}

export function searchContract(engine: () => StoreEngine): void {
  describe('search', () => {
    const shared = shareStore(engine)

    test('finds words of any script, the newest first, with the parts that match', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      await say(store, alice, log, 'See you tomorrow', '明天在北京见面', 'tomorrow 見る', 'nothing of it')
      expect(await textsOf(store, bob, 'tomorrow')).toEqual(['tomorrow 見る', 'See you tomorrow'])
      expect(await textsOf(store, bob, 'TOMOR')).toEqual(['tomorrow 見る', 'See you tomorrow'])
      expect(await textsOf(store, alice, '北京')).toEqual(['明天在北京见面'])
      expect(await textsOf(store, alice, '见面 明天')).toEqual(['明天在北京见面'])
      expect(await textsOf(store, alice, '北面')).toEqual([])
      const [item] = (await search(store, bob, 'see tomo')).items
      expect(item).toMatchObject({
        entry: { log, from: alice.uid, kind: 'message', type: 'text' },
        highlights: [
          { field: 'text', start: 0, end: 3 },
          { field: 'text', start: 8, end: 16 },
        ],
      })
    })

    test('only finds what the person may see: not what strangers say, not what came before or after them', async () => {
      const store = shared()
      const [alice, bob, carol] = await createFriends(store, 'alice', 'bob', 'carol')
      await say(store, alice, directLog(alice, bob), 'secret of two')
      const group = await createGroup(store, alice, bob)
      await say(store, bob, group, 'secret before')
      await store.run({ name: 'groups.add', caller: alice, params: { id: group, members: [carol.uid] } })
      await say(store, bob, group, 'secret while she is in')
      await store.run({ name: 'groups.remove', caller: alice, params: { id: group, members: [carol.uid] } })
      await say(store, bob, group, 'secret after')
      expect(await textsOf(store, carol, 'secret')).toEqual(['secret while she is in'])
      expect(await textsOf(store, carol, 'secret', { log: directLog(alice, bob) })).toEqual([])
      expect(await textsOf(store, alice, 'secret')).toHaveLength(4)
    })

    test('a word that is written like a mark of the index opens nothing', async () => {
      const store = shared()
      const [alice, bob, eve] = await createFriends(store, 'alice', 'bob', 'eve')
      await say(store, eve, directLog(eve, eve), '\ue000p1 \ue000l1 bait')
      await say(store, alice, directLog(alice, bob), 'bait')
      expect(await textsOf(store, eve, 'bait')).toEqual(['\ue000p1 \ue000l1 bait'])
      expect(await textsOf(store, alice, 'bait')).toEqual(['bait'])
    })

    test('narrows by conversation, author, type and time', async () => {
      const store = shared()
      const [alice, bob, carol] = await createFriends(store, 'alice', 'bob', 'carol')
      const [first] = [await send(store, alice, directLog(alice, bob), 'plan one')]
      await say(store, bob, directLog(alice, bob), 'plan two')
      await say(store, carol, directLog(alice, carol), 'plan three')
      await sendAndWait(store, alice, {
        id: null,
        target: { log: directLog(alice, bob), peer: bob.uid },
        type: 'custom:card',
        bodyJson: JSON.stringify({ title: 'plan card', text: 'plan card' }),
        marks: null,
      })
      await indexAll(store)
      const log = directLog(alice, bob)
      expect(await textsOf(store, alice, 'plan', { log })).toEqual(['plan card', 'plan two', 'plan one'])
      expect(await textsOf(store, alice, 'plan', { from: carol.uid })).toEqual(['plan three'])
      expect(await textsOf(store, alice, 'plan', { types: ['custom:card'] })).toEqual(['plan card'])
      expect(await textsOf(store, alice, 'plan', { log, types: ['text', 'custom:card'] })).toHaveLength(3)
      expect(await textsOf(store, alice, 'plan', { before: first.at })).toEqual([])
      expect(await textsOf(store, alice, 'plan', { after: first.at })).toHaveLength(4)
      expect(await textsOf(store, alice, 'plan', { from: 'nobody-of-this-name' })).toEqual([])
    })

    test('gives pages without missing or repeating anything', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const texts = Array.from({ length: 130 }, (_, i) => `needle ${i}`)
      await Promise.all(texts.map((text) => send(store, alice, directLog(alice, bob), text)))
      await indexAll(store)
      const found: string[] = []
      for (let cursor: string | undefined; ; ) {
        const page = await search(store, bob, 'needle', {
          limit: 30,
          ...(cursor !== undefined && { cursor }),
        })
        found.push(...page.items.map(({ entry }) => (entry.body as { text: string }).text))
        if (page.cursor === undefined) break
        cursor = page.cursor
      }
      expect(found).toEqual(texts.reverse())
    })

    test('what is recalled is gone at once, what is edited is found by its new words only', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const [first, second] = await say(store, alice, log, 'zebra one', 'zebra two')
      await store.run({ name: 'messages.recall', caller: alice, params: { log, seq: first! } })
      expect(await textsOf(store, bob, 'zebra')).toEqual(['zebra two'])
      const body = { text: 'giraffe two' }
      await store.run({ name: 'messages.edit', caller: alice, params: { log, seq: second!, body } })
      expect(await textsOf(store, bob, 'zebra')).toEqual([])
      await indexAll(store)
      expect(await textsOf(store, bob, 'giraffe')).toEqual(['giraffe two'])
    })

    test('goes on behind an edit of somebody who was erased before it was read', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const { seq } = await send(store, alice, log, 'one')
      await store.run({ name: 'messages.edit', caller: alice, params: { log, seq, body: { text: 'two' } } })
      {
        await using tables = await openRawTables(engine())
        const emptied = `update entry set body = '{}' where kind = 'edit' and log = (select n from log where name = '${log}')`
        await tables.query(emptied)
      }
      await say(store, alice, log, 'three')
      expect(await textsOf(store, bob, 'three')).toEqual(['three'])
    })

    test('a person in many groups searches all of them', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const groups: LogId[] = []
      for (let i = 0; i < 120; i++) groups.push(await createGroup(store, alice, bob))
      await say(store, alice, groups[0]!, 'haystack old')
      await say(store, alice, groups.at(-1)!, 'haystack new')
      expect(await textsOf(store, bob, 'haystack')).toEqual(['haystack new', 'haystack old'])
    })

    test('a person in more groups than a query names finds what is in each, page by page, and nothing else', async () => {
      const store = shared()
      const [alice, bob, carol] = await createFriends(store, 'alice', 'bob', 'carol')
      const old = await createGroup(store, alice, bob)
      await say(store, alice, old, 'thimble in the oldest group')
      await say(store, alice, directLog(alice, bob), 'thimble of two')
      const others = Array.from({ length: 150 }, (_, i) => `thimble of others ${i}`)
      await Promise.all(others.map((text) => send(store, alice, directLog(alice, carol), text)))
      await joinGroups(engine(), bob, 1000)
      await say(store, alice, await createGroup(store, alice, bob), 'thimble in the newest group')
      const found: string[] = []
      let cursor: string | undefined
      do {
        const page = await search(store, bob, 'thimb', { limit: 2, ...(cursor !== undefined && { cursor }) })
        found.push(...page.items.map(({ entry }) => (entry.body as { text: string }).text))
        cursor = page.cursor
      } while (cursor !== undefined)
      expect(found).toEqual([
        ...['thimble in the newest group', 'thimble of two', 'thimble in the oldest group'],
      ])
    })

    test('a query without a word is refused; quotes and operators are only text', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      await say(store, alice, directLog(alice, bob), 'either OR neither "quoted"')
      expect(await refusalOf(search(store, alice, '!?'))).toBe('bad_request')
      for (const query of ['or', '"quoted', "quoted' & x", 'NOT', '*', 'a:b', 'near(']) {
        const found = await search(store, alice, query).catch((error: { code: string }) => error.code)
        if (typeof found === 'string') expect(found).toBe('bad_request')
      }
      expect(await textsOf(store, bob, '"quoted" or')).toEqual(['either OR neither "quoted"'])
    })
  })
}
