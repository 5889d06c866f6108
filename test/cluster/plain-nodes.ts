/** Engines of several nodes around one store, with a bus that a test can make lossy. */
import { pino } from 'pino'
import { createEngine, type Engine } from '../../broker/engine/engine.ts'
import { ENGINE_SETTINGS } from '../../broker/engine/testing/engine-settings.ts'
import { type DeviceOptions, PlainDevice } from '../../broker/engine/testing/plain-device.ts'
import { TempStore } from '../../broker/engine/testing/temp-store.ts'
import type { Store } from '../../services/store/contract.ts'
import { DEFAULT_POLICY } from '../../services/store/policy.ts'
import { openPostgresStore } from '../../services/store/postgres/postgres-store.ts'
import { createDatabase } from '../harness/postgres.ts'
import { until } from '../harness/wait.ts'

const log = pino({ level: process.env.ENGINE_LOG ?? 'silent' })

/** One store, as each node has it. */
interface StoreOfNodes extends AsyncDisposable {
  open(node: string): Promise<Store>
}

export async function inPostgres(): Promise<StoreOfNodes> {
  const database = await createDatabase()
  const opened: Store[] = []
  return {
    async open(node) {
      const store = await openPostgresStore({
        url: database.url,
        node,
        policy: { ...DEFAULT_POLICY, contactsRequired: false },
        connectionsMax: 6,
        waitingSendsMax: 1000,
        retryMs: 10_000,
        applicationName: node,
        log,
      })
      opened.push(store)
      return store
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(opened.map((store) => store[Symbol.asyncDispose]()))
      await database[Symbol.asyncDispose]()
    },
  }
}

/** As the workers of one machine have it: all through the process that holds it. */
export async function inSqlite(): Promise<StoreOfNodes> {
  const temp = new TempStore()
  const store = await temp.open()
  return { open: async () => store, [Symbol.asyncDispose]: () => temp[Symbol.asyncDispose]() }
}

type Frame = { frame: Buffer; uid: string | null }

type Life = {
  isOver: boolean
  /** How often it has read from the store which wills are due. */
  willChecks: number
}

async function countWhenDone(willCheck: Promise<unknown>, life: Life): Promise<void> {
  try {
    await willCheck
  } catch {
    return // The engine reports it.
  }
  life.willChecks++
}

/** The store of a process: when that is over, nothing of what it began takes effect. */
function endWith(life: Life, store: Store): Store {
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      return (...input: unknown[]) => {
        if (life.isOver) return new Promise(() => {})
        const result: unknown = Reflect.apply(value, target, input)
        if (name === 'duePlainWills') void countWhenDone(result as Promise<unknown>, life)
        return result
      }
    },
  })
}

export class PlainNode {
  readonly name: string
  readonly store: Store
  readonly engine: Engine
  /** What it handed to the bus. */
  readonly sent: Frame[]
  readonly life: Life

  constructor(parts: { name: string; store: Store; engine: Engine; sent: Frame[]; life: Life }) {
    this.name = parts.name
    this.store = parts.store
    this.engine = parts.engine
    this.sent = parts.sent
    this.life = parts.life
  }

  device(clientId: string, options?: DeviceOptions): PlainDevice {
    return new PlainDevice(this.engine, clientId, options)
  }
}

export class PlainNodes implements AsyncDisposable {
  /** Those that live. */
  readonly nodes: PlainNode[] = []
  readonly #store: StoreOfNodes
  /** The bus loses what it is given. */
  isLossy = false

  private constructor(store: StoreOfNodes) {
    this.#store = store
  }

  static async start(open: () => Promise<StoreOfNodes>, count: number): Promise<PlainNodes> {
    const world = new PlainNodes(await open())
    for (let i = 0; i < count; i++) await world.add(`node-${i}`)
    return world
  }

  async add(name: string): Promise<PlainNode> {
    const life = { isOver: false, willChecks: 0 }
    const store = endWith(life, await this.#store.open(name))
    const sent: Frame[] = []
    const bus = {
      node: name,
      sendPlain: (frame: Buffer, uid: string | null) => {
        sent.push({ frame, uid })
        this.#carry(name, frame)
      },
    }
    const engine = await createEngine({ store, log, settings: ENGINE_SETTINGS, bus })
    const node = new PlainNode({ name, life, store, engine, sent })
    this.nodes.push(node)
    return node
  }

  /** As a crash leaves it: nothing is detached, and nothing more comes from it. */
  abandon(node: PlainNode): void {
    node.life.isOver = true
    this.nodes.splice(this.nodes.indexOf(node), 1)
  }

  /** Each node has twice more looked for wills that are due: whatever was due at the call is found. */
  async dueWillsFound(): Promise<void> {
    const wanted = this.nodes.map(({ life }) => ({ life, checks: life.willChecks + 2 }))
    await until(
      () => wanted.every(({ life, checks }) => life.willChecks >= checks),
      'each node to look for due wills twice',
    )
  }

  #carry(from: string, frame: Buffer): void {
    if (this.isLossy || !this.nodes.some(({ name }) => name === from)) return
    for (const node of this.nodes) {
      // As over a wire: later, and a copy.
      if (node.name !== from) setImmediate(() => node.engine.plainReceived(Buffer.from(frame)))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { engine } of this.nodes) await engine.close()
    await this.#store[Symbol.asyncDispose]()
  }
}
