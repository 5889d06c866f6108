/**
 * Lua scripts: each is a file of `scripts/`, called by its digest and sent in full only to a server that does not
 * know it. A script runs alone on its server, so that what it reads and writes is one step.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { RedisClient } from './redis.ts'

type ScriptArgument = string | number | Buffer

/** A script whose answer has the shape `Answer`, as its header says. */
export class Script<Answer> {
  readonly name: string
  readonly #source: string
  readonly #digest: string

  /** `name` without `.lua`; `folder` as a URL that ends with a slash, by default `scripts/` beside this file. */
  constructor(name: string, folder: URL = new URL('scripts/', import.meta.url)) {
    this.name = name
    this.#source = readFileSync(new URL(`${name}.lua`, folder), 'utf8')
    this.#digest = createHash('sha1').update(this.#source).digest('hex')
  }

  /** In a Cluster all keys share a slot. Rejects with the error of Redis. */
  async run(
    client: RedisClient,
    keys: readonly string[],
    args: readonly ScriptArgument[] = [],
  ): Promise<Answer> {
    try {
      return (await client.commands.evalsha(this.#digest, keys.length, ...keys, ...args)) as Answer
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error
      return (await client.commands.eval(this.#source, keys.length, ...keys, ...args)) as Answer
    }
  }
}
