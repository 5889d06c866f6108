import fs from 'node:fs'
import path from 'node:path'
import type { Addressing, Broker, GroupAddressing, PeopleOptions } from './broker.ts'
import { Child, findFreePorts } from './child.ts'
import type { Generate } from './generator.ts'
import type { StartOptions } from './plain-brokers.ts'

const ROOT = path.join(import.meta.dirname, '../..')
const ENTRY = path.join(ROOT, 'main.ts')

/** Limits that protect a server from its users; a generator is meant to go past them. */
const SETTINGS = {
  WOCHAT_CONTACTS_REQUIRED: 'false',
  WOCHAT_SENDS_PER_SECOND_MAX: '0',
  WOCHAT_CALLS_PER_SECOND_MAX: '0',
  WOCHAT_CONNECTS_PER_ADDRESS_MAX: '0',
  WOCHAT_GROUP_MEMBERS_MAX: '20000',
  WOCHAT_GC_ON_SIGUSR2: '1',
}

const DEVICE = 'gen'
const GROUP_ADD_MEMBERS = 250
const SEND = (to: string) => `{"to":"${to}","id":"{id}","text":"{mark}{fill}"}`

interface Person {
  uid: string
  device: string
}

/**
 * Signs tokens in a data folder that is copied for every run: 19,000 signatures take longer than most rows, and with the
 * same key they are good for all of them.
 */
export class TokenOffice {
  private readonly folder: string
  private readonly tokens = new Map<string, string>()

  /** `folder` holds the data folder from which servers start. */
  constructor(folder: string) {
    this.folder = folder
  }

  get dataTemplate(): string {
    return path.join(this.folder, 'template')
  }

  async sign(people: readonly Person[]): Promise<string[]> {
    const unsigned = people.filter((person) => !this.tokens.has(keyOf(person)))
    if (unsigned.length > 0) await this.signMissing(unsigned)
    return people.map((person) => this.tokens.get(keyOf(person))!)
  }

  /** The first start of a server makes the key. */
  private async makeTemplate(): Promise<void> {
    if (fs.existsSync(this.dataTemplate)) return
    const { child } = await serve(this.dataTemplate, undefined, 1)
    await child[Symbol.asyncDispose]()
  }

  private async signMissing(people: readonly Person[]): Promise<void> {
    await this.makeTemplate()
    const list = path.join(this.folder, 'people')
    fs.writeFileSync(list, people.map(({ uid, device }) => `${uid} ${device}\n`).join(''))
    await using child = new Child({
      name: 'wochat token',
      command: [process.execPath, ENTRY, 'token', '--batch', list, '--ttl', '24h'],
      cwd: ROOT,
      env: { WOCHAT_DATA_DIR: this.dataTemplate },
    })
    const status = await child.waitForExit()
    const tokens = child.standardOutput.split('\n').filter((line) => line.startsWith('ey'))
    if (status !== 0 || tokens.length !== people.length) {
      throw new Error(
        `wochat token gave ${tokens.length} of ${people.length} tokens:\n${child.logTail.slice(-2000)}`,
      )
    }
    for (const [index, person] of people.entries()) this.tokens.set(keyOf(person), tokens[index]!)
  }
}

export interface WochatOptions extends StartOptions {
  office: TokenOffice
  /** Connects people once, so that their accounts exist. */
  generate: Generate
  workers: number
}

class Wochat implements Broker {
  readonly name = 'wochat'
  readonly port: number
  private readonly child: Child
  private readonly httpPort: number
  private readonly options: WochatOptions
  private files = 0

  constructor(child: Child, ports: { mqtt: number; http: number }, options: WochatOptions) {
    this.child = child
    this.port = ports.mqtt
    this.httpPort = ports.http
    this.options = options
  }

  get pid(): number {
    return this.child.pid
  }

  get logTail(): string {
    return this.child.logTail
  }

  async people({ publishers, devices, prefix = '' }: PeopleOptions): Promise<Addressing> {
    const people = [...persons(`${prefix}a`, publishers), ...persons(`${prefix}b`, devices)]
    return {
      ...identities(`${prefix}a{p}`, `${prefix}b{s}`),
      payload: SEND(`${prefix}b{t}`),
      passwordsFile: await this.writePasswords(people),
    }
  }

  async group({ publishers, members }: { publishers: number; members: number }): Promise<GroupAddressing> {
    const senders = persons('a', publishers)
    const receivers = persons('b', members)
    const membersOnly = await this.people({ publishers: 0, devices: members })
    await this.createAccounts(senders, 'a')
    await this.createAccounts(receivers, 'b')
    const id = await this.createGroup(senders, receivers)
    return {
      flow: {
        ...membersOnly,
        payload: SEND(id),
        passwordsFile: await this.writePasswords([...senders, ...receivers]),
      },
      members: membersOnly,
    }
  }

  /** Two devices of one account, which may use plain topics of their own. */
  async plain(pairs: number): Promise<Addressing> {
    const people = [...persons('a', pairs, 'pub'), ...persons('a', pairs, 'sub')]
    return {
      pubId: 'a{p}/pub',
      subId: 'a{s}/sub',
      pubUser: 'a{p}',
      subUser: 'a{s}',
      pubTopic: 'u/a{p}/own/x',
      subTopic: 'u/a{s}/own/x',
      passwordsFile: await this.writePasswords(people),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child[Symbol.asyncDispose]()
  }

  private async createAccounts(people: readonly Person[], prefix: string): Promise<void> {
    const result = await this.options.generate('storm', {
      port: this.port,
      devices: people.length,
      ...identities('', `${prefix}{s}`),
      passwordsFile: await this.writePasswords(people),
    })
    if (!result.ok) throw new Error(`accounts could not be made: ${result.problems.join('; ')}`)
  }

  private async createGroup(senders: readonly Person[], receivers: readonly Person[]): Promise<string> {
    const [token] = await this.options.office.sign(senders.slice(0, 1))
    const others = [...senders.slice(1), ...receivers].map(({ uid }) => uid)
    const { id } = await this.call(token!, 'groups.create', { name: 'bench', members: [] })
    for (let start = 0; start < others.length; start += GROUP_ADD_MEMBERS) {
      await this.call(token!, 'groups.add', { id, members: others.slice(start, start + GROUP_ADD_MEMBERS) })
    }
    return String(id)
  }

  private async call(token: string, operation: string, parameters: object): Promise<Record<string, unknown>> {
    const response = await fetch(`http://127.0.0.1:${this.httpPort}/v1/${operation}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(parameters),
    })
    const body = await response.text()
    if (!response.ok) throw new Error(`${operation}: ${response.status} ${body}`)
    return JSON.parse(body) as Record<string, unknown>
  }

  private async writePasswords(people: readonly Person[]): Promise<string> {
    this.files += 1
    const file = path.join(this.options.folder, `passwords-${this.files}`)
    fs.writeFileSync(file, (await this.options.office.sign(people)).join('\n'))
    return file
  }
}

export async function startWochat(options: WochatOptions): Promise<Broker> {
  const data = path.join(options.folder, 'data')
  await options.office.sign([{ uid: 'a000000', device: DEVICE }])
  fs.cpSync(options.office.dataTemplate, data, { recursive: true })
  const { child, ports } = await serve(data, options.core, options.workers)
  return new Wochat(child, ports, options)
}

/** Starts a server on a data folder and waits until it says that it is ready. */
async function serve(data: string, core: number | undefined, workers: number) {
  const [mqtt, http, admin] = (await findFreePorts(3)) as [number, number, number]
  const child = new Child({
    name: 'wochat',
    command: [process.execPath, '--expose-gc', ENTRY, 'serve'],
    core,
    cwd: ROOT,
    env: {
      ...SETTINGS,
      WOCHAT_DATA_DIR: data,
      WOCHAT_WORKERS: String(workers),
      WOCHAT_MQTT_PORT: String(mqtt),
      WOCHAT_HTTP_PORT: String(http),
      WOCHAT_ADMIN_PORT: String(admin),
    },
  })
  try {
    await child.waitUntilReady(() => isReady(admin))
    return { child, ports: { mqtt, http } }
  } catch (error) {
    await child[Symbol.asyncDispose]()
    throw error
  }
}

async function isReady(adminPort: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${adminPort}/readyz`)
    await response.body?.cancel()
    return response.status === 200
  } catch {
    return false // Not listening yet, which is what is asked.
  }
}

function identities(publisher: string, device: string): Addressing {
  return {
    pubId: `${publisher}/${DEVICE}`,
    subId: `${device}/${DEVICE}`,
    pubUser: publisher,
    subUser: device,
    pubTopic: `u/${publisher}/send`,
    subTopic: `u/${device}/inbox`,
  }
}

/** The uids that the generator makes of the template `{prefix}{s}`. */
function persons(prefix: string, count: number, device = DEVICE): Person[] {
  return Array.from({ length: count }, (_, number) => ({
    uid: `${prefix}${String(number).padStart(6, '0')}`,
    device,
  }))
}

function keyOf({ uid, device }: Person): string {
  return `${uid}/${device}`
}
