/**
 * An S3-compatible server for tests: s3rver, which speaks the protocol over a real socket and keeps objects in a
 * folder. Not all of S3 is in it: it takes any secret, knows no checksums, and keeps a body that broke off.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const BUCKET = 'files'
const ACCESS_KEY = 'S3RVER'

type Options = {
  address: string
  port: number
  silent: boolean
  directory: string
  configureBuckets: { name: string }[]
}
type S3rver = { run(): Promise<AddressInfo>; close(): Promise<void> }

export type S3Server = AsyncDisposable & {
  endpoint: string
  bucket: string
  accessKey: string
  secretKey: string
  /** Settings of a server that keeps its files here. */
  env: Record<string, string>
}

export async function startS3(): Promise<S3Server> {
  // The package has no types of its own.
  const name: string = 's3rver'
  const { default: Server } = (await import(name)) as { default: new (options: Options) => S3rver }
  const directory = mkdtempSync(join(tmpdir(), 'wochat-s3-'))
  const server = new Server({
    address: '127.0.0.1',
    port: 0,
    silent: true,
    directory,
    configureBuckets: [{ name: BUCKET }],
  })
  const { port } = await server.run()
  const endpoint = `http://127.0.0.1:${port}`
  return {
    endpoint,
    bucket: BUCKET,
    accessKey: ACCESS_KEY,
    secretKey: ACCESS_KEY,
    env: {
      WOCHAT_MEDIA_STORAGE: 's3',
      WOCHAT_MEDIA_S3_ENDPOINT: endpoint,
      WOCHAT_MEDIA_S3_BUCKET: BUCKET,
      WOCHAT_MEDIA_S3_ACCESS_KEY: ACCESS_KEY,
      WOCHAT_MEDIA_S3_SECRET_KEY: ACCESS_KEY,
    },
    async [Symbol.asyncDispose]() {
      await server.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
