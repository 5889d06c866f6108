/** What the calls of a chat take: a mix of the light ones, a long list of conversations, a search among many messages. */
import type { OperationName } from '../../protocol/catalogue/catalogue.ts'
import type { Broker } from './broker.ts'
import type { ChatCall, ChatPerson } from './chat-load.ts'
import { directLog, loadOf, namesOf, operate, post, sendTo, signIn } from './chat-people.ts'
import type { GeneratorResult } from './generator.ts'
import { latency, type Row, type RowContext, time } from './row.ts'

const MIX = { people: 200, groupSize: 10, perSecond: 500 }
const LIST = { conversations: 1000, perSecond: 5 }
const SEARCH = {
  ...{ entries: 1_000_000, writers: 20, importedTogether: 500 },
  ...{ perSecond: 5, indexedMsMax: 15 * 60_000 },
}

/** Of 100 calls. */
const SHARES: readonly (readonly [OperationName, number])[] = [
  ['messages.send', 20],
  ['messages.page', 20],
  ['conversations.read', 20],
  ['conversations.list', 10],
  ['profile.get', 10],
  ['conversations.update', 5],
  ['contacts.list', 5],
  ['settings.get', 5],
  ['groups.get', 5],
]

/** What is written in a tenth of the messages each; every query finds some of them. */
const TEXTS = [
  ...['meet me at the harbour tomorrow', 'the invoice for the kitchen is late', 'who brings the tent'],
  ...['明天下午三点开会', '火锅店在学校旁边', 'the train leaves at nine', 'happy birthday to you both'],
  ...['请把合同发给我', 'did you see the match yesterday', 'the doctor moved it to tuesday'],
]
const QUERIES = [
  'harbour',
  'the',
  '开会',
  'kitchen invoice',
  '学校',
  'tomorrow meet',
  'tues',
  '合同',
  'match the',
]

export const CHAT_ROWS: readonly Row[] = [
  {
    id: 'chat',
    title: '500 light calls/s in open loop over MQTT and HTTP; a list of 1,000 conversations',
    metrics: [time('call p99', 'ms', 25), time('list p99', 'ms', 30)],
    brokers: ['wochat'],
    nodes: 1,
    async measure(context) {
      const mix = await measureMix(context)
      const list = await measureList(context)
      return {
        values: { 'call p99': latency(mix, 'p99'), 'list p99': latency(list, 'p99') },
        results: [mix, list],
      }
    },
  },
  {
    id: 'search',
    title: 'a search among 1,000,000 messages of one person',
    metrics: [time('search p99', 'ms', 100)],
    brokers: ['wochat'],
    nodes: 1,
    async measure(context) {
      const searched = await measureSearch(context)
      return { values: { 'search p99': latency(searched, 'p99') }, results: [searched] }
    },
  },
]

// ---------------------------------------------------------------- a mix of light calls

async function measureMix({ broker, call, seconds }: RowContext): Promise<GeneratorResult> {
  const uids = namesOf('m', MIX.people)
  const people = await signIn(broker, uids)
  const groups = await makeGroups(broker, people)
  const prepare: ChatCall[] = uids.flatMap((uid, person) => [
    // The first call of a person makes their account.
    { person, operation: 'contacts.list', params: {} },
    ...[1, 2, 3].map((n) => sendTo(person, uids[(person + n) % uids.length]!, `from ${uid}`)),
  ])
  const calls = mixOf((operation, turn) => {
    const person = (turn * 7) % uids.length
    return { person, operation, params: paramsOf(operation, { uids, groups, person, turn }) }
  })
  return call({
    ...loadOf(broker, people),
    ...{ overMqtt: people.length / 2, prepare, calls, perSecond: MIX.perSecond, seconds },
  })
}

type MixPlace = { uids: string[]; groups: string[]; person: number; turn: number }

function paramsOf(operation: OperationName, { uids, groups, person, turn }: MixPlace): object {
  const other = uids[(person + 1) % uids.length]!
  const log = directLog(uids[person]!, other)
  switch (operation) {
    case 'messages.send':
      return { to: other, text: `call ${turn}` }
    case 'messages.page':
      return { log, limit: 20 }
    case 'conversations.read':
      return { log, seq: Number.MAX_SAFE_INTEGER }
    case 'conversations.list':
      return { limit: 50 }
    case 'conversations.update':
      return { log, draft: `draft ${turn}` }
    case 'profile.get':
      return { uids: [other] }
    case 'groups.get':
      return { id: groups[Math.floor(person / MIX.groupSize)] }
    default:
      return {}
  }
}

/** One round of calls in the shares of the mix, spread evenly; several rounds differ in their people. */
function mixOf(callOf: (operation: OperationName, turn: number) => ChatCall): ChatCall[] {
  const round = SHARES.flatMap(([operation, share]) => Array<OperationName>(share).fill(operation))
  // 37 has no factor in common with the length of a round.
  const spread = round.map((_, i) => round[(i * 37) % round.length]!)
  return Array.from({ length: round.length * 20 }, (_, turn) => callOf(spread[turn % spread.length]!, turn))
}

async function makeGroups(broker: Broker, people: readonly ChatPerson[]): Promise<string[]> {
  for (const person of people) await post(broker, person, 'contacts.list', {})
  const groups: string[] = []
  for (let first = 0; first < people.length; first += MIX.groupSize) {
    const [owner, ...members] = people.slice(first, first + MIX.groupSize)
    const params = { name: 'bench', members: members.map(({ uid }) => uid) }
    const { id } = (await post(broker, owner!, 'groups.create', params)) as { id: string }
    groups.push(id)
  }
  return groups
}

// ---------------------------------------------------------------- a long list

async function measureList({ broker, call, seconds }: RowContext): Promise<GeneratorResult> {
  const uids = ['lister', ...namesOf('l', LIST.conversations)]
  const people = await signIn(broker, uids)
  await post(broker, people[0]!, 'contacts.list', {})
  const prepare = uids.slice(1).map((_, i) => sendTo(i + 1, 'lister', 'one of many conversations'))
  const list = {
    operation: 'conversations.list',
    params: { limit: LIST.conversations },
    pages: true,
  } as const
  return call({
    ...loadOf(broker, people),
    ...{ overMqtt: 0, prepare, calls: [{ person: 0, ...list }], perSecond: LIST.perSecond },
    seconds: Math.max(seconds, 20),
  })
}

// ---------------------------------------------------------------- a search

async function measureSearch({ broker, call, seconds }: RowContext): Promise<GeneratorResult> {
  const [reader] = await signIn(broker, ['sreader'])
  const writers = namesOf('s', SEARCH.writers)
  await operate(broker, 'importAccounts', { accounts: ['sreader', ...writers].map((uid) => ({ uid })) })
  await operate(broker, 'importContacts', { pairs: writers.map((a) => ({ a, b: 'sreader' })) })
  await Promise.all(writers.map((writer) => importPast(broker, writer)))
  await untilIndexed(broker, reader!)
  const calls = QUERIES.map((query) => ({ person: 0, operation: 'messages.search', params: { query } }))
  return await call({
    ...loadOf(broker, [reader!]),
    ...{ overMqtt: 0, prepare: [], calls, perSecond: SEARCH.perSecond, seconds: Math.max(seconds, 20) },
  })
}

/** What one person wrote to the reader, moved in from elsewhere. */
async function importPast(broker: Broker, from: string): Promise<void> {
  const all = SEARCH.entries / SEARCH.writers
  for (let done = 0; done < all; done += SEARCH.importedTogether) {
    const messages = Array.from({ length: SEARCH.importedTogether }, (_, i) => {
      const n = done + i
      return {
        from,
        at: 1_600_000_000_000 + n,
        id: `i${n}`,
        body: { text: `${TEXTS[n % TEXTS.length]} ${n}` },
      }
    })
    await operate(broker, 'importMessages', { log: directLog(from, 'sreader'), messages })
  }
}

/** A message that comes last is found when all before it are in the index. */
async function untilIndexed(broker: Broker, person: ChatPerson): Promise<void> {
  await post(broker, person, 'messages.send', { to: person.uid, text: 'lighthouse' })
  const endAt = performance.now() + SEARCH.indexedMsMax
  while (performance.now() < endAt) {
    const { items } = (await post(broker, person, 'messages.search', { query: 'lighthouse' })) as {
      items: unknown[]
    }
    if (items.length > 0) return
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
  throw new Error(`the messages were not indexed in ${SEARCH.indexedMsMax} ms`)
}
