/** What the calls of one member take in a group of 100,000, on each store. */
import type { Broker } from './broker.ts'
import type { ChatCall, ChatPerson } from './chat-load.ts'
import { loadOf, namesOf, operate, post, signIn } from './chat-people.ts'
import type { GeneratorResult } from './generator.ts'
import { latency, type Row, type RowContext, type RowOutcome, time, WARMUP_SECONDS } from './row.ts'

const MEMBERS = 100_000
/** What one call imports or adds, and one page has. */
const TOGETHER = 500
/** Steps of adding that count: the last ones, when the group is large. */
const STEPS_MEASURED = 40
const WRITERS = 20
const PAGES_PER_SECOND = 20
const SENDS_PER_SECOND = 100
const LEAVES_PER_SECOND = 20

const ROW = {
  metrics: [
    time('add 500 p50', 'ms'),
    time('page p50', 'ms'),
    time('page p99', 'ms'),
    time('send p50', 'ms'),
    time('send p99', 'ms'),
    time('leave p50', 'ms'),
    time('leave p99', 'ms'),
  ],
  nodes: 1,
  measure: measureMembers,
} satisfies Partial<Row>

const TITLE = 'a group of 100,000 members: add 500, a page of 500, a send of one member, leave'

export const MEMBER_ROWS: readonly Row[] = [
  { ...ROW, id: 'members', title: TITLE, brokers: ['wochat'] },
  { ...ROW, id: 'members-pg', title: `${TITLE}, on PostgreSQL`, brokers: ['wochat-cluster'] },
]

async function measureMembers(context: RowContext): Promise<RowOutcome> {
  const { broker, seconds } = context
  const uids = namesOf('g', MEMBERS)
  const leaving = Math.ceil((WARMUP_SECONDS + seconds) * LEAVES_PER_SECOND)
  for (let n = 0; n < MEMBERS; n += TOGETHER) {
    await operate(broker, 'importAccounts', { accounts: uids.slice(n, n + TOGETHER).map((uid) => ({ uid })) })
  }
  const people = await signIn(broker, [...uids.slice(0, WRITERS), ...uids.slice(-leaving)])
  const { id, stepsMs } = await makeGroup(broker, people[0]!, uids)
  const members = { operation: 'groups.members', params: { id, limit: TOGETHER } }
  const cursors = await cursorsOf(broker, people[0]!, members)
  const pages = await measure(context, people, PAGES_PER_SECOND, cursors, (cursor, i) => ({
    ...{ person: i % WRITERS, ...members, params: { ...members.params, cursor } },
  }))
  const writers = people.slice(0, WRITERS)
  const sends = await measure(context, people, SENDS_PER_SECOND, writers, (_, person) => ({
    ...{ person, operation: 'messages.send', params: { to: id, text: 'hello' } },
  }))
  const leavers = people.slice(WRITERS)
  const leaves = await measure(context, people, LEAVES_PER_SECOND, leavers, (_, i) => ({
    ...{ person: WRITERS + i, operation: 'groups.leave', params: { id } },
  }))
  const values = {
    'add 500 p50': stepsMs.toSorted((a, b) => a - b)[stepsMs.length / 2]!,
    ...figuresOf('page', pages),
    ...figuresOf('send', sends),
    ...figuresOf('leave', leaves),
  }
  return { values, results: [pages, sends, leaves] }
}

/** Adds all of them, and says how long the last steps took. */
async function makeGroup(
  broker: Broker,
  owner: ChatPerson,
  uids: readonly string[],
): Promise<{ id: string; stepsMs: number[] }> {
  const { id } = (await post(broker, owner, 'groups.create', { name: 'bench' })) as { id: string }
  const stepsMs: number[] = []
  for (let n = 0; n < uids.length; n += TOGETHER) {
    const members = uids.slice(n, n + TOGETHER).filter((uid) => uid !== owner.uid)
    const begin = performance.now()
    await post(broker, owner, 'groups.add', { id, members })
    stepsMs.push(performance.now() - begin)
  }
  return { id, stepsMs: stepsMs.slice(-STEPS_MEASURED) }
}

/** Where the pages of the group begin, but for the first and the last one, which may be shorter. */
async function cursorsOf(
  broker: Broker,
  person: ChatPerson,
  { operation, params }: Pick<ChatCall, 'operation' | 'params'>,
): Promise<string[]> {
  const cursors: string[] = []
  for (let cursor: string | undefined; ; ) {
    const page = { ...params, ...(cursor !== undefined && { cursor }) }
    cursor = ((await post(broker, person, operation, page)) as { cursor?: string }).cursor
    if (cursor === undefined) return cursors.slice(0, -1)
    cursors.push(cursor)
  }
}

/** One call of each of `those`, and again from the first on. */
function measure<Of>(
  { broker, call, seconds }: RowContext,
  people: ChatPerson[],
  perSecond: number,
  those: readonly Of[],
  callOf: (one: Of, index: number) => ChatCall,
): Promise<GeneratorResult> {
  const calls = those.map(callOf)
  return call({ ...loadOf(broker, people), overMqtt: 0, prepare: [], calls, perSecond, seconds })
}

const figuresOf = (name: string, result: GeneratorResult): Record<string, number> => ({
  [`${name} p50`]: latency(result, 'p50'),
  [`${name} p99`]: latency(result, 'p99'),
})
