import fs from 'node:fs'
import path from 'node:path'
import type { Addressing, Broker, BrokerName, BrokerNode } from './broker.ts'
import { acceptsConnections, Child, findFreePorts } from './child.ts'
import { type Engine, startRedis } from './engines.ts'
import { findProgram } from './machine.ts'

export interface StartOptions {
  core: number | undefined
  folder: string
}

/** Brokers without accounts: a topic is whatever it says. */
class PlainBroker implements Broker {
  readonly name: BrokerName
  readonly nodes: readonly [BrokerNode, ...BrokerNode[]]
  readonly engines: ReadonlyMap<string, number>
  private readonly stack: AsyncDisposableStack
  private readonly children: readonly Child[]

  constructor(
    name: BrokerName,
    parts: { servers: readonly Server[]; engines: readonly Engine[]; stack: AsyncDisposableStack },
  ) {
    const [first, ...others] = parts.servers.map(({ child, port }) => ({ pid: child.pid, port }))
    this.name = name
    this.nodes = [first!, ...others]
    this.engines = new Map(parts.engines.map(({ name, pid }) => [name, pid]))
    this.stack = parts.stack
    this.children = parts.servers.map(({ child }) => child)
  }

  get logTail(): string {
    return this.children.map(({ logTail }) => logTail).join('\n')
  }

  async people({ prefix = '' }: { prefix?: string }): Promise<Addressing> {
    return {
      pubId: `${prefix}a{p}/gen`,
      subId: `${prefix}b{s}/gen`,
      pubTopic: `load/${prefix}{t}`,
      subTopic: `load/${prefix}{s}`,
    }
  }

  async group() {
    const flow = { pubId: 'a{p}/gen', subId: 'b{s}/gen', pubTopic: 'load/group', subTopic: 'load/group' }
    return { flow, members: flow }
  }

  plain(): Promise<Addressing> {
    return this.people({})
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stack.disposeAsync()
  }
}

interface Server {
  child: Child
  port: number
}

export async function startAedes({ core }: StartOptions): Promise<Broker> {
  return single('aedes', await startPeer('aedes', core))
}

interface AedesRedisOptions extends StartOptions {
  nodes: number
}

/** Nodes of Aedes around a Redis that writes its log of commands to disk each second, as it is usually run. */
export async function startAedesRedis(
  name: 'aedes-redis' | 'aedes-redis-nodes',
  options: AedesRedisOptions,
): Promise<Broker> {
  await using stack = new AsyncDisposableStack()
  const redis = stack.use(await startRedis(options, 'everysec'))
  const servers: Server[] = []
  for (let number = 1; number <= options.nodes; number++) {
    const server = await startPeer('aedes-redis', options.core, redis.url)
    stack.use(server.child)
    servers.push(server)
  }
  return new PlainBroker(name, { servers, engines: [redis], stack: stack.move() })
}

/** A script of `peers/` on a free port. */
async function startPeer(name: string, core: number | undefined, ...args: string[]): Promise<Server> {
  const [port] = await findFreePorts(1)
  const script = path.join(import.meta.dirname, `peers/${name}.ts`)
  const command = [process.execPath, '--expose-gc', script, String(port), ...args]
  return ready(port!, new Child({ name, command, core }))
}

/** In memory; its limits on queues and windows and its line per connection out of the way, so that they are not what is measured. */
const MOSQUITTO_SETTINGS = [
  'allow_anonymous true',
  'persistence false',
  'set_tcp_nodelay true',
  'max_queued_messages 0',
  'max_inflight_messages 0',
  'log_type error',
  'user root',
]

export async function startMosquitto({ core, folder }: StartOptions): Promise<Broker> {
  const [port] = await findFreePorts(1)
  const file = path.join(folder, 'mosquitto.conf')
  fs.writeFileSync(file, [`listener ${port} 127.0.0.1`, ...MOSQUITTO_SETTINGS, ''].join('\n'))
  const command = [findProgram('mosquitto')!, '-c', file]
  return single('mosquitto', await ready(port!, new Child({ name: 'mosquitto', command, core })))
}

function single(name: BrokerName, server: Server): Broker {
  const stack = new AsyncDisposableStack()
  stack.use(server.child)
  return new PlainBroker(name, { servers: [server], engines: [], stack })
}

async function ready(port: number, child: Child): Promise<Server> {
  try {
    await child.waitUntilReady(() => acceptsConnections(port))
    return { port, child }
  } catch (error) {
    await child[Symbol.asyncDispose]()
    throw error
  }
}
