/**
 * Keeps the index of this node (subscriptions of stored sessions, names of retained topics) at a version of a store
 * that several nodes share. The store refuses a message whose targets were chosen at an older version than its newest;
 * so the index may be behind, and nothing is missed.
 */
import type { PlainStep, PlainStore } from '../../services/store/plain.ts'
import type { SessionIndex } from './session-index.ts'
import type { TopicTree } from './topic-tree.ts'

/** Read by one call. */
const PAGE_CHANGES = 500
const PAGE_SESSIONS = 500
const PAGE_TOPICS = 1000

export class IndexFollower {
  readonly #store: PlainStore
  readonly #sessions: SessionIndex
  readonly #topics: TopicTree
  #known = 0
  #isReading = false
  #reading: Promise<void> = Promise.resolve()
  #next: Promise<void> | null = null

  constructor(store: PlainStore, sessions: SessionIndex, topics: TopicTree) {
    this.#store = store
    this.#sessions = sessions
    this.#topics = topics
  }

  /** The index holds every change up to this version. */
  get known(): number {
    return this.#known
  }

  /** Reads everything. The version before it: what changes meanwhile comes once more. */
  async load(): Promise<void> {
    const version = await this.#store.plainVersion()
    const sessions: Awaited<ReturnType<PlainStore['pagePlainSessions']>> = []
    for (let after = ''; ; after = sessions.at(-1)!.clientId) {
      const page = await this.#store.pagePlainSessions({ after, entriesMax: PAGE_SESSIONS })
      for (const session of page) sessions.push(session)
      if (page.length < PAGE_SESSIONS) break
    }
    const topics: string[] = []
    for (;;) {
      const page = await this.#store.pagePlainTopics({
        after: topics.at(-1) ?? null,
        entriesMax: PAGE_TOPICS,
      })
      for (const topic of page) topics.push(topic)
      if (page.length < PAGE_TOPICS) break
    }
    this.#sessions.clear()
    this.#topics.clear()
    for (const { clientId, subscriptions } of sessions) this.#sessions.replace(clientId, subscriptions)
    for (const topic of topics) this.#topics.add(topic)
    this.#known = version
  }

  /** A commit of this node changed something, and the index has it already. */
  stepped({ from, to }: PlainStep): void {
    // While changes are read, they may be from before this one: then it comes once more with its version.
    if (to > from && from === this.#known && !this.#isReading) this.#known = to
  }

  /** Resolves when the index has all that was committed before this call. */
  catchUp(): Promise<void> {
    this.#next ??= this.#reading.then(() => {
      this.#next = null
      const reading = this.#read()
      this.#reading = reading.catch(() => {})
      return reading
    })
    return this.#next
  }

  async #read(): Promise<void> {
    this.#isReading = true
    try {
      for (;;) {
        const { tooOld, changes, version, isLast } = await this.#store.plainChanges({
          since: this.#known,
          rowsMax: PAGE_CHANGES,
        })
        if (tooOld) {
          await this.load()
          continue
        }
        for (const { clientId, subscriptions } of changes.sessions) {
          this.#sessions.replace(clientId, subscriptions)
        }
        for (const { topic, isRetained } of changes.topics) {
          if (isRetained) this.#topics.add(topic)
          else this.#topics.delete(topic)
        }
        this.#known = version
        if (isLast) return
      }
    } finally {
      this.#isReading = false
    }
  }
}
