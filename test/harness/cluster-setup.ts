/** Starts one PostgreSQL and one Redis for the test project `cluster`; every server of a test has its own part of them. */
import type { TestProject } from 'vitest/node'
import { PostgresServer } from './postgres.ts'
import { RedisServer } from './redis.ts'

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const postgres = await PostgresServer.start()
  const redis = await RedisServer.create()
  await redis.start()
  project.provide('postgresUrl', postgres.url())
  project.provide('redisUrl', redis.url)
  return async () => {
    await redis[Symbol.asyncDispose]()
    await postgres[Symbol.asyncDispose]()
  }
}
