/** The two engines of a cluster, for one test server: a database of its own and a part of Redis of its own. */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'
import { createDatabase } from './postgres.ts'
import { RedisServer } from './redis.ts'

export type Backends = AsyncDisposable & {
  /** The settings of a node that is on them. */
  readonly env: Record<string, string>
}

declare module 'vitest' {
  export interface ProvidedContext {
    /** `single`: one process with the embedded store. `cluster`: nodes around PostgreSQL and Redis. */
    topology: 'single' | 'cluster'
    /** Of the engines that the whole run shares; empty where a test process starts its own. */
    postgresUrl: string
    redisUrl: string
  }
}

/** On the engines of the run, or on engines of this test process. */
export async function makeBackends(): Promise<Backends> {
  const redisKeyPrefix = `t${randomBytes(4).toString('hex')}`
  const shared = inject('postgresUrl')
  if (shared === '' || shared === undefined) {
    const database = await createDatabase()
    const redis = await RedisServer.create()
    await redis.start()
    return {
      env: {
        WOCHAT_DATABASE_URL: database.url,
        WOCHAT_REDIS_URL: redis.url,
        WOCHAT_REDIS_KEY_PREFIX: redisKeyPrefix,
      },
      async [Symbol.asyncDispose]() {
        await redis[Symbol.asyncDispose]()
        await database[Symbol.asyncDispose]()
      },
    }
  }
  const name = `test_${redisKeyPrefix}`
  await query(shared, `create database ${name}`)
  const url = new URL(shared)
  url.pathname = `/${name}`
  return {
    env: {
      WOCHAT_DATABASE_URL: url.href,
      WOCHAT_REDIS_URL: inject('redisUrl'),
      WOCHAT_REDIS_KEY_PREFIX: redisKeyPrefix,
    },
    [Symbol.asyncDispose]: () => query(shared, `drop database if exists ${name} with (force)`),
  }
}

async function query(url: string, sql: string): Promise<void> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
