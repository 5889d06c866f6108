import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Params, Result } from '../../../protocol/catalogue/catalogue.ts'
import type { DeviceId, LogId, UserId } from '../../../protocol/ids.ts'
import { sendAndWait } from '../../../services/messages/awaited-send.ts'
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
  seqsOf,
} from './people.ts'
import { ModelLog, PEOPLE } from './unread-model.ts'

/** A run is some hundred calls one after the other, each a few round trips to a database. */
const RUNS_MS = 120_000
const RUNS = 20
const STEPS_MAX = 60
const DEVICES = ['phone', 'tablet', 'desk'] as DeviceId[]
const FOREVER = Number.MAX_SAFE_INTEGER

/** Whom a message names: nobody, all, or one person. */
const MENTIONS = ['none', 'all', 0, 1, 2] as const

/** One person at one of their devices does something to one of the two logs; `percent` is a place in it. */
type Step = {
  do: (typeof DEEDS)[number]
  who: number
  device: number
  direct: boolean
  percent: number
  on: boolean
  mentions: (typeof MENTIONS)[number]
}

const DEEDS = [
  ...(['send', 'send', 'send', 'send', 'read', 'read', 'join', 'leave'] as const),
  ...(['mute', 'clear', 'hide', 'archive', 'delete', 'recall', 'reconnect', 'readAll'] as const),
  ...(['edit', 'withheld', 'trim'] as const),
] as const

const step: fc.Arbitrary<Step> = fc.record({
  do: fc.constantFrom(...DEEDS),
  who: fc.constantFrom(...PEOPLE),
  device: fc.integer({ min: 0, max: DEVICES.length - 1 }),
  direct: fc.boolean(),
  percent: fc.integer({ min: 0, max: 120 }),
  on: fc.boolean(),
  mentions: fc.constantFrom(...MENTIONS),
})

type Conversation = Result<'conversations.list'>['items'][number]

/** What one device has been told: a list brought up to date by changes, and drained entries. */
type DeviceState = { version: number; got: Map<LogId, Set<number>>; cursors: Map<LogId, number> }

/** The store and the model, side by side. Persons 0 and 1 also have a direct conversation. */
class Scene {
  readonly #store: Store
  readonly #people: readonly Caller[]
  readonly #logs: ReadonlyMap<LogId, ModelLog>
  readonly #direct: LogId
  readonly #group: LogId
  readonly #devices: DeviceState[][] = PEOPLE.map(() =>
    DEVICES.map(() => ({ version: 0, got: new Map(), cursors: new Map() })),
  )

  static async open(store: Store): Promise<Scene> {
    const people = await createFriends(store, 'zero', 'one', 'two')
    return new Scene(store, people, directLog(people[0], people[1]), await createGroup(store, ...people))
  }

  private constructor(store: Store, people: readonly Caller[], direct: LogId, group: LogId) {
    this.#store = store
    this.#people = people
    this.#direct = direct
    this.#group = group
    this.#logs = new Map([
      [direct, new ModelLog()],
      [group, new ModelLog()],
    ])
    for (const who of PEOPLE) this.#modelOf(group).join(who)
    for (const who of [0, 1]) this.#modelOf(direct).join(who)
    this.#modelOf(group).append(0)
  }

  #modelOf(log: LogId): ModelLog {
    return this.#logs.get(log)!
  }

  #callerOf(who: number, device: number): Caller {
    return { uid: this.#people[who]!.uid, device: DEVICES[device]! }
  }

  async take(taken: Step): Promise<void> {
    const { who, device, direct, percent, on } = taken
    const log = direct && who < 2 ? this.#direct : this.#group
    const model = this.#modelOf(log)
    const caller = this.#callerOf(who, device)
    const seq = Math.round((model.head * percent) / 100)
    const isKnown = model.head > 0
    const { run } = this.#callsOf(caller)
    if (taken.do === 'send' && model.isIn(who)) await this.#send(taken, caller, log)
    else if (taken.do === 'withheld' && model.isIn(who)) await this.#send(taken, caller, log, true)
    else if (taken.do === 'edit' && model.isIn(who)) await this.#edit(taken, caller, log)
    else if (taken.do === 'trim' && isKnown) await this.#trim(log, Math.min(seq, model.head))
    else if (taken.do === 'read' && isKnown) {
      model.markRead(who, seq)
      const answer = await markRead(this.#store, caller, log, seq)
      const { read } = model
      expect(answer).toEqual({ readSeq: read[who], unread: model.unread(who), badge: this.#badge(who) })
    } else if (taken.do === 'join') await this.#join(who)
    else if (taken.do === 'leave' && this.#modelOf(this.#group).isIn(who)) {
      await leaveGroup(this.#store, caller, this.#group)
      await this.#followLog(who)
    } else if (taken.do === 'mute' && isKnown) {
      model.muted[who] = on
      await this.#update(who, caller, { log, mutedUntil: on ? FOREVER : null })
    } else if (taken.do === 'hide' && isKnown) {
      model.hide(who, on)
      await this.#update(who, caller, { log, hidden: on })
    } else if (taken.do === 'archive' && isKnown) {
      await this.#update(who, caller, { log, archived: on })
    } else if (taken.do === 'clear' && isKnown) {
      model.clear(who, seq)
      const { badge, clearedSeq } = await run('conversations.clear', { log, seq })
      expect({ badge, clearedSeq }).toEqual({ badge: this.#badge(who), clearedSeq: model.cleared[who] })
    } else if (taken.do === 'delete' && isKnown && seq > 0) {
      model.delete(who, seq)
      await run('messages.delete', { log, seqs: [seq] })
    } else if (taken.do === 'recall' && model.isIn(who)) {
      const recalled = ownMessage(model, taken)
      if (recalled === undefined) return
      const isTold = !this.#recalled.has(`${log} ${recalled}`) && !model.entries[recalled - 1]!.isWithheld
      this.#recalled.add(`${log} ${recalled}`)
      await run('messages.recall', { log, seq: recalled })
      model.name(recalled, [])
      if (isTold) model.append(who)
    } else if (taken.do === 'readAll') {
      for (const each of this.#logs.values()) if (each.unread(who) > 0) each.markRead(who, each.head)
      expect((await run('conversations.readAll', {})).badge).toBe(0)
    } else if (taken.do === 'reconnect') await this.#drain(who, device)
  }

  readonly #recalled = new Set<string>()

  #callsOf(caller: Caller) {
    type Name = 'conversations.clear' | 'conversations.readAll' | 'messages.delete' | 'messages.recall'
    return {
      run: <N extends Name>(name: N, params: Params<N>): Promise<Result<N>> =>
        this.#store.run({ name, caller, params }),
    }
  }

  async #send({ who, device, mentions }: Step, caller: Caller, log: LogId, withheld?: true): Promise<void> {
    await sendAndWait(this.#store, caller, {
      ...{ id: null, target: { log, peer: null }, type: 'text', bodyJson: '{"text":"x"}' },
      marks: { ...this.#marksOf(mentions), ...(withheld && { withheld }) },
    })
    this.#modelOf(log).send(who, device, namedBy(mentions), withheld)
  }

  /** Of a message that names others from now on. */
  async #edit(taken: Step, caller: Caller, log: LogId): Promise<void> {
    const model = this.#modelOf(log)
    const seq = ownMessage(model, taken)
    if (seq === undefined || this.#recalled.has(`${log} ${seq}`)) return
    const body = { text: 'y', ...this.#marksOf(taken.mentions) }
    await this.#store.run({ name: 'messages.edit', caller, params: { log, seq, body } })
    // Who left is called by nobody any more, but for what calls all.
    const named = namedBy(taken.mentions).filter((who) => taken.mentions === 'all' || model.isIn(who))
    model.name(seq, named)
    if (!model.entries[seq - 1]!.isWithheld) model.append(taken.who)
  }

  async #trim(log: LogId, upTo: number): Promise<void> {
    const task = { task: 'deleteExpired', input: { log, upTo } } as const
    while (!(await this.#store.perform(task)));
    this.#modelOf(log).trim(upTo)
  }

  #marksOf(mentions: Step['mentions']): { mentions?: 'all' | UserId[] } {
    if (mentions === 'none') return {}
    return { mentions: mentions === 'all' ? 'all' : [this.#people[mentions]!.uid] }
  }

  async #update(who: number, caller: Caller, params: Params<'conversations.update'>): Promise<void> {
    const { badge } = await this.#store.run({ name: 'conversations.update', caller, params })
    expect(badge).toBe(this.#badge(who))
  }

  async #join(who: number): Promise<void> {
    const model = this.#modelOf(this.#group)
    const by = PEOPLE.find((other) => other !== who && model.isIn(other))
    if (by === undefined || model.isIn(who)) return
    await addMembers(this.#store, this.#people[by]!, this.#group, this.#people[who]!)
    model.join(who)
    model.append(by)
  }

  /** Leaving appends one entry or, with a new owner, two. */
  async #followLog(who: number): Promise<void> {
    const model = this.#modelOf(this.#group)
    const { head } = await pageOf(this.#store, this.#people[who]!, this.#group)
    while (model.head < head) model.append(who)
    model.leave(who)
  }

  /** What a device gets that comes back to where it was: of what was shown no more by then, nothing. */
  async #drain(who: number, device: number): Promise<void> {
    const state = this.#devices[who]![device]!
    for (const [log, model] of this.#logs) {
      if (model.headOf(who) === 0) continue
      const after = state.cursors.get(log) ?? 0
      const caller = this.#callerOf(who, device)
      const limits = { entriesMax: 1000, bytesMax: 1_000_000 }
      const { pages } = await this.#store.drain({ ...caller, requests: [{ log, after }], ...limits })
      const got = state.got.get(log) ?? new Set()
      const shown = new Set(model.shown(who))
      for (const page of pages) {
        expect(page.seqs.filter((seq) => !shown.has(seq))).toEqual([])
        for (const seq of page.seqs) got.add(seq)
        state.cursors.set(log, Math.max(after, page.through))
      }
      state.got.set(log, got)
    }
  }

  async check(): Promise<void> {
    for (const who of PEOPLE) {
      for (const [log, model] of this.#logs) {
        if (model.headOf(who) === 0) continue
        expect(seqsOf(await readAll(this.#store, this.#people[who]!, log))).toEqual(model.shown(who))
      }
      for (const device of DEVICES.keys()) await this.#checkDevice(who, device)
    }
  }

  async #checkDevice(who: number, device: number): Promise<void> {
    const caller = this.#callerOf(who, device)
    const list = await listOf(this.#store, caller)
    const ask = { caller, params: {} }
    const { badge } = await this.#store.run({ name: 'conversations.badge', ...ask })
    const since = { since: this.#devices[who]![device]!.version }
    const changes = await this.#store.run({ name: 'conversations.changes', caller, params: since })
    expect([list.badge, badge, changes.badge]).toEqual(Array(3).fill(this.#badge(who)))
    const known = [...this.#logs].filter(([, model]) => model.isListed(who))
    expect(list.items.map((item) => item.log).sort()).toEqual(known.map(([log]) => log).sort())
    for (const item of [...list.items, ...changes.items]) this.#checkItem(who, item)
    for (const log of changes.removed) expect(this.#modelOf(log as LogId).isListed(who)).toBe(false)
    await this.#checkDrained(who, device)
  }

  #checkItem(who: number, item: Conversation): void {
    const model = this.#modelOf(item.log as LogId)
    expect(item).toMatchObject({
      ...{ head: model.headOf(who), unread: model.unread(who), mentions: model.mentions(who) },
      ...{ readSeq: model.read[who], clearedSeq: model.cleared[who], muted: model.muted[who] },
    })
    if (item.last !== null) expect(model.shown(who)).toContain(item.last.seq)
  }

  /** Everything by others that they are shown reaches the device, and nothing that they may not see. */
  async #checkDrained(who: number, device: number): Promise<void> {
    await this.#drain(who, device)
    for (const [log, model] of this.#logs) {
      const got = this.#devices[who]![device]!.got.get(log) ?? new Set()
      const isOwn = (seq: number) => {
        const { from, device: author } = model.entries[seq - 1]!
        return from === who && author === device
      }
      const visible = new Set(model.visible(who))
      expect([...got].filter((seq) => !visible.has(seq))).toEqual([])
      const isMissing = (seq: number) => model.entries[seq - 1]!.isMessage && !isOwn(seq) && !got.has(seq)
      expect(model.shown(who).filter(isMissing)).toEqual([])
    }
  }

  #badge(who: number): number {
    return [...this.#logs.values()].reduce((sum, model) => sum + model.due(who), 0)
  }
}

const namedBy = (mentions: Step['mentions']): readonly number[] =>
  mentions === 'none' ? [] : mentions === 'all' ? PEOPLE : [mentions]

/** Some message that a person wrote and still sees. */
function ownMessage(model: ModelLog, { who, percent }: Step): number | undefined {
  const own = model.shown(who).filter((seq) => isMessageOf(model, seq, who))
  return own[Math.floor((own.length * Math.min(percent, 99)) / 100)]
}

const isMessageOf = (model: ModelLog, seq: number, who: number): boolean => {
  const { isMessage, from } = model.entries[seq - 1]!
  return isMessage && from === who
}

export function unreadContract(engine: () => StoreEngine): void {
  describe('unread', () => {
    const shared = shareStore(engine)

    test(
      'mentions, badge, head and pages equal a count by hand, on every device and from every operation',
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
