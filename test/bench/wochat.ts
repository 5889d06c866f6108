import fs from 'node:fs'
import path from 'node:path'
import type { Broker, BrokerName, BrokerNode } from './broker.ts'
import { type Engine, startPostgres, startRedis } from './engines.ts'
import type { Generate } from './generator.ts'
import type { StartOptions } from './plain-brokers.ts'
import type { TokenOffice, TrustedIssuer } from './tokens.ts'
import { WochatPeople } from './wochat-people.ts'
import { serve, type WochatServer } from './wochat-process.ts'

class Wochat extends WochatPeople implements Broker {
  readonly name: BrokerName
  readonly nodes: readonly [BrokerNode, ...BrokerNode[]]
  readonly engines: ReadonlyMap<string, number>
  private readonly stack: AsyncDisposableStack
  private readonly logs: readonly { logTail: string }[]

  constructor(
    name: BrokerName,
    people: Pick<ConstructorParameters<typeof WochatPeople>[0], 'folder' | 'tokens' | 'generate'>,
    parts: { servers: readonly WochatServer[]; engines: readonly Engine[]; stack: AsyncDisposableStack },
  ) {
    const { servers, engines, stack } = parts
    const [first, ...others] = servers.map(({ child, mqttPort }) => ({ pid: child.pid, port: mqttPort }))
    const { mqttPort, httpPort, adminPort } = servers[0]!
    super({ ...people, mqttPort, httpPort, adminPort })
    this.name = name
    this.nodes = [first!, ...others]
    this.engines = new Map(engines.map(({ name, pid }) => [name, pid]))
    this.stack = stack
    this.logs = [...servers.map(({ child }) => child), ...engines]
  }

  get logTail(): string {
    return this.logs.map(({ logTail }) => logTail).join('\n')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stack.disposeAsync()
  }
}

interface WochatOptions extends StartOptions {
  office: TokenOffice
  generate: Generate
  workers: number
}

/** One server with the embedded store. */
export async function startWochat(options: WochatOptions): Promise<Broker> {
  const { folder, office, generate, core, workers } = options
  const data = path.join(folder, 'data')
  await office.makeTemplate()
  fs.cpSync(office.dataTemplate, data, { recursive: true })
  await using stack = new AsyncDisposableStack()
  const server = await serve({ name: 'wochat', core, data, env: { WOCHAT_WORKERS: String(workers) } })
  stack.use(server.child)
  const parts = { servers: [server], engines: [], stack: stack.move() }
  return new Wochat('wochat', { folder, tokens: office, generate }, parts)
}

interface WochatClusterOptions extends StartOptions {
  issuer: TrustedIssuer
  generate: Generate
  nodes: number
}

/** Nodes with all roles around a PostgreSQL and a Redis of their own, everything on the same core. */
export async function startWochatCluster(options: WochatClusterOptions): Promise<Broker> {
  const { folder, issuer, generate, core } = options
  await using stack = new AsyncDisposableStack()
  const postgres = stack.use(await startPostgres(options))
  const redis = stack.use(await startRedis(options, 'volatile'))
  const servers: WochatServer[] = []
  for (let number = 1; number <= options.nodes; number++) {
    const name = `node-${number}`
    const env = {
      WOCHAT_DATABASE_URL: postgres.url,
      WOCHAT_REDIS_URL: redis.url,
      WOCHAT_NODE_NAME: name,
      WOCHAT_ISSUERS: issuer.publish(folder),
    }
    const server = await serve({ name, core, data: path.join(folder, name), env })
    stack.use(server.child)
    servers.push(server)
  }
  const parts = { servers, engines: [postgres, redis], stack: stack.move() }
  return new Wochat('wochat-cluster', { folder, tokens: issuer, generate }, parts)
}
