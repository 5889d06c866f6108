import fs from 'node:fs'
import path from 'node:path'
import type { Addressing, ChatServer, GroupAddressing, PeopleOptions } from './broker.ts'
import type { Generate } from './generator.ts'
import type { Person, TokenSource } from './tokens.ts'

const DEVICE = 'gen'
const GROUP_ADD_MEMBERS = 250
const SEND = (to: string) => `{"to":"${to}","id":"{id}","text":"{mark}{fill}"}`

interface WochatPeopleOptions {
  mqttPort: number
  httpPort: number
  adminPort: number
  /** Where files of passwords are written. */
  folder: string
  tokens: TokenSource
  /** Connects people once, so that their accounts exist. */
  generate: Generate
}

/** The people and groups of a running wochat: how the generator speaks as them, with tokens that it verifies. */
export class WochatPeople {
  private readonly options: WochatPeopleOptions
  private files = 0

  constructor(options: WochatPeopleOptions) {
    this.options = options
  }

  get chat(): ChatServer {
    const { mqttPort, httpPort, adminPort, folder, tokens } = this.options
    const sign = (uids: readonly string[]) => tokens.sign(uids.map((uid) => ({ uid, device: DEVICE })))
    return { mqttPort, httpPort, adminPort, folder, sign }
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

  private async createAccounts(people: readonly Person[], prefix: string): Promise<void> {
    const result = await this.options.generate('storm', {
      port: this.options.mqttPort,
      devices: people.length,
      ...identities('', `${prefix}{s}`),
      passwordsFile: await this.writePasswords(people),
    })
    if (!result.ok) throw new Error(`accounts could not be made: ${result.problems.join('; ')}`)
  }

  private async createGroup(senders: readonly Person[], receivers: readonly Person[]): Promise<string> {
    const [token] = await this.options.tokens.sign(senders.slice(0, 1))
    const others = [...senders.slice(1), ...receivers].map(({ uid }) => uid)
    const { id } = await this.call(token!, 'groups.create', { name: 'bench', members: [] })
    for (let start = 0; start < others.length; start += GROUP_ADD_MEMBERS) {
      await this.call(token!, 'groups.add', { id, members: others.slice(start, start + GROUP_ADD_MEMBERS) })
    }
    return String(id)
  }

  private async call(token: string, operation: string, parameters: object): Promise<Record<string, unknown>> {
    const response = await fetch(`http://127.0.0.1:${this.options.httpPort}/v1/${operation}`, {
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
    fs.writeFileSync(file, (await this.options.tokens.sign(people)).join('\n'))
    return file
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
