import fs from 'node:fs'
import path from 'node:path'
import { TestIssuer } from '../harness/issuer.ts'
import { Child } from './child.ts'
import { ENTRY, ROOT, serve } from './wochat-process.ts'

const TTL_HOURS = 24

export interface Person {
  uid: string
  device: string
}

/** Tokens in the order of the people. */
export interface TokenSource {
  sign(people: readonly Person[]): Promise<string[]>
}

/**
 * Signs tokens in a data folder that is copied for every run: 19,000 signatures take longer than most rows, and with the
 * same key they are good for all of them.
 */
export class TokenOffice implements TokenSource {
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
  async makeTemplate(): Promise<void> {
    if (fs.existsSync(this.dataTemplate)) return
    const { child } = await serve({ name: 'wochat', core: undefined, data: this.dataTemplate, env: {} })
    await child[Symbol.asyncDispose]()
  }

  private async signMissing(people: readonly Person[]): Promise<void> {
    await this.makeTemplate()
    const list = path.join(this.folder, 'people')
    fs.writeFileSync(list, people.map(({ uid, device }) => `${uid} ${device}\n`).join(''))
    await using child = new Child({
      name: 'wochat token',
      command: [process.execPath, ENTRY, 'token', '--batch', list, '--ttl', `${TTL_HOURS}h`],
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

/** An issuer that servers trust by WOCHAT_ISSUERS: their nodes need no key of their own, and verify RS256 all the same. */
export class TrustedIssuer implements TokenSource {
  private readonly issuer = new TestIssuer()
  private readonly tokens = new Map<string, string>()

  async sign(people: readonly Person[]): Promise<string[]> {
    return people.map((person) => {
      const key = keyOf(person)
      const token =
        this.tokens.get(key) ?? this.issuer.token(person.uid, person.device, { ttlMs: TTL_HOURS * 3_600_000 })
      this.tokens.set(key, token)
      return token
    })
  }

  /** The setting that makes a server trust it; its public key is written to `folder`. */
  publish(folder: string): string {
    return this.issuer.publish(path.join(folder, 'issuer.json'))
  }
}

function keyOf({ uid, device }: Person): string {
  return `${uid}/${device}`
}
