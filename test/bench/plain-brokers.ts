import fs from 'node:fs'
import path from 'node:path'
import type { Addressing, Broker, BrokerName } from './broker.ts'
import { acceptsConnections, Child, findFreePorts } from './child.ts'
import { findProgram } from './machine.ts'

export interface StartOptions {
  core: number | undefined
  folder: string
}

/** Brokers without accounts: a topic is whatever it says. */
class PlainBroker implements Broker {
  readonly name: BrokerName
  readonly port: number
  private readonly child: Child

  constructor(name: BrokerName, port: number, child: Child) {
    this.name = name
    this.port = port
    this.child = child
  }

  get pid(): number {
    return this.child.pid
  }

  get logTail(): string {
    return this.child.logTail
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
    await this.child[Symbol.asyncDispose]()
  }
}

export async function startAedes({ core }: StartOptions): Promise<Broker> {
  const [port] = await findFreePorts(1)
  const script = path.join(import.meta.dirname, 'peers/aedes.ts')
  const command = [process.execPath, '--expose-gc', script, String(port)]
  return ready('aedes', port!, new Child({ name: 'aedes', command, core }))
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
  return ready('mosquitto', port!, new Child({ name: 'mosquitto', command, core }))
}

async function ready(name: BrokerName, port: number, child: Child): Promise<Broker> {
  try {
    await child.waitUntilReady(() => acceptsConnections(port))
    return new PlainBroker(name, port, child)
  } catch (error) {
    await child[Symbol.asyncDispose]()
    throw error
  }
}
