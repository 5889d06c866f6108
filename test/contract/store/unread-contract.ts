import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { LogId } from '../../../protocol/ids.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import {
  addMembers,
  createFriends,
  createGroup,
  directLog,
  leaveGroup,
  listOf,
  markRead,
  pageOf,
  readAll,
  send,
  seqsOf,
} from './people.ts'

/** A run is some hundred calls one after the other, each a few round trips to a database. */
const RUNS_MS = 120_000
const RUNS = 40
const STEPS_MAX = 80

type Step =
  | { do: 'send'; who: number; direct: boolean }
  | { do: 'read'; who: number; direct: boolean; percent: number }
  | { do: 'join'; who: number }
  | { do: 'leave'; who: number }

const person = fc.integer({ min: 0, max: 2 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('send' as const), who: person, direct: fc.boolean() }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('read' as const),
      who: person,
      direct: fc.boolean(),
      percent: fc.integer({ min: 0, max: 120 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('join' as const), who: person }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), who: person }) },
)

type Window = { from: number; to: number }

/** A log as the design words it: every entry, every window, every pointer; unread is counted one by one. */
class ModelLog {
  readonly entries: { from: number; isMessage: boolean }[] = []
  readonly windows: Window[][] = [[], [], []]
  readonly read = [0, 0, 0]

  get head(): number {
    return this.entries.length
  }

  join(who: number): void {
    this.windows[who]!.push({ from: this.head + 1, to: Number.POSITIVE_INFINITY })
    this.read[who] = this.head
  }

  leave(who: number): void {
    this.windows[who]!.at(-1)!.to = this.head
  }

  isIn(who: number): boolean {
    return this.windows[who]!.at(-1)?.to === Number.POSITIVE_INFINITY
  }

  append(from: number, isMessage: boolean): void {
    this.entries.push({ from, isMessage })
  }

  visible(who: number): number[] {
    const seqs = this.entries.map((_, i) => i + 1)
    return seqs.filter((seq) => this.windows[who]!.some(({ from, to }) => from <= seq && seq <= to))
  }

  markRead(who: number, seq: number): void {
    this.read[who] = Math.max(this.read[who]!, Math.min(seq, this.visible(who).at(-1) ?? 0))
  }

  unread(who: number): number {
    return this.visible(who).filter((seq) => {
      const { from, isMessage } = this.entries[seq - 1]!
      return seq > this.read[who]! && isMessage && from !== who
    }).length
  }
}

/** The store and the model, side by side. Persons 0 and 1 also have a direct conversation. */
class Scene {
  readonly #store: Store
  readonly #people: readonly Caller[]
  readonly #logs: { direct: LogId; group: LogId }
  readonly #direct = new ModelLog()
  readonly #group = new ModelLog()

  static async open(store: Store): Promise<Scene> {
    const people = await createFriends(store, 'zero', 'one', 'two')
    return new Scene(store, people, {
      direct: directLog(people[0], people[1]),
      group: await createGroup(store, ...people),
    })
  }

  private constructor(store: Store, people: readonly Caller[], logs: { direct: LogId; group: LogId }) {
    this.#store = store
    this.#people = people
    this.#logs = logs
    for (const who of [0, 1, 2]) this.#group.join(who)
    for (const who of [0, 1]) this.#direct.join(who)
    this.#group.append(0, false)
  }

  async take(taken: Step): Promise<void> {
    const caller = this.#people[taken.who]!
    if (taken.do === 'send') await this.#send(taken.who, taken.direct)
    else if (taken.do === 'read') await this.#read(taken.who, taken.direct, taken.percent)
    else if (taken.do === 'leave' && this.#group.isIn(taken.who)) {
      await leaveGroup(this.#store, caller, this.#logs.group)
      await this.#followLog(taken.who)
    } else if (taken.do === 'join') await this.#join(taken.who)
  }

  async #send(who: number, direct: boolean): Promise<void> {
    const isDirect = direct && who < 2
    const model = isDirect ? this.#direct : this.#group
    if (!model.isIn(who)) return
    await send(this.#store, this.#people[who]!, isDirect ? this.#logs.direct : this.#logs.group, 'x')
    model.append(who, true)
  }

  async #read(who: number, direct: boolean, percent: number): Promise<void> {
    const isDirect = direct && who < 2
    const model = isDirect ? this.#direct : this.#group
    if (model.head === 0) return
    const seq = Math.round((model.head * percent) / 100)
    model.markRead(who, seq)
    const log = isDirect ? this.#logs.direct : this.#logs.group
    const answer = await markRead(this.#store, this.#people[who]!, log, seq)
    expect(answer).toEqual({ readSeq: model.read[who], unread: model.unread(who), badge: this.#badge(who) })
  }

  async #join(who: number): Promise<void> {
    const by = [0, 1, 2].find((other) => other !== who && this.#group.isIn(other))
    if (by === undefined || this.#group.isIn(who)) return
    await addMembers(this.#store, this.#people[by]!, this.#logs.group, this.#people[who]!)
    this.#group.join(who)
    this.#group.append(by, false)
  }

  /** Leaving appends one entry or, with a new owner, two. */
  async #followLog(who: number): Promise<void> {
    const { head } = await pageOf(this.#store, this.#people[who]!, this.#logs.group)
    while (this.#group.head < head) this.#group.append(who, false)
    this.#group.leave(who)
  }

  async check(): Promise<void> {
    for (const [who, caller] of this.#people.entries()) {
      const { items, badge } = await listOf(this.#store, caller)
      expect(badge).toBe(this.#badge(who))
      const group = items.find((item) => item.log === this.#logs.group)
      const seqs = this.#group.visible(who)
      expect(group).toMatchObject({
        head: seqs.at(-1),
        unread: this.#group.unread(who),
        readSeq: this.#group.read[who],
        last: { seq: seqs.at(-1) },
      })
      expect(seqsOf(await readAll(this.#store, caller, this.#logs.group))).toEqual(seqs)
    }
  }

  #badge(who: number): number {
    return this.#group.unread(who) + this.#direct.unread(who)
  }
}

export function unreadContract(engine: () => StoreEngine): void {
  describe('unread', () => {
    const shared = shareStore(engine)

    test(
      'and badge, head and pages equal a count by hand after any sends, reads, joins and leaves',
      async () => {
        const store = shared()
        await fc.assert(
          fc.asyncProperty(fc.array(step, { maxLength: STEPS_MAX, size: 'max' }), async (steps) => {
            const scene = await Scene.open(store)
            for (const taken of steps) await scene.take(taken)
            await scene.check()
          }),
          { numRuns: RUNS },
        )
      },
      RUNS_MS,
    )
  })
}
