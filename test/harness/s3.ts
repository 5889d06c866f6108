/**
 * A real S3-compatible storage of a test: OpenStack Swift, which checks keys, signatures, regions and digests and keeps
 * no body that broke off; on a free loopback port, in a temporary folder, ended with the test.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BucketLocationConstraint, CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import type { S3Settings } from '../../services/media/s3-storage.ts'
import { LogBuffer } from './log-buffer.ts'
import { until } from './wait.ts'

const START_MS = 60_000
const PROGRAM = new URL('s3-swift.py', import.meta.url).pathname
/** Debian's own: another one would not have Swift. */
const PYTHON = '/usr/bin/python3'
/** Not the region that a client takes by itself. */
const REGION = 'eu-test-1'
const ACCESS_KEY = 'chat:server'
const SECRET_KEY = 'a-secret-of-tests'
const BUCKET = 'files'

export type S3Access = Omit<S3Settings, 'prefix'> & { endpoint: string }

export class S3Server implements AsyncDisposable {
  readonly port: number
  readonly #child: ChildProcess
  readonly #folder: string

  /** Starts it and makes its bucket. */
  static async start(): Promise<S3Server> {
    const folder = mkdtempSync(join(tmpdir(), 'wochat-s3-'))
    const command = [PYTHON, '-I', PROGRAM, folder, REGION, ACCESS_KEY, SECRET_KEY]
    const child = spawn('setpriv', ['--pdeathsig=KILL', '--', ...command], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const log = new LogBuffer()
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => log.push(chunk))
    let port = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      port += chunk
    })
    try {
      await until(
        () => {
          if (child.exitCode !== null) throw new Error(`Swift ended at its start:\n${log.text}`)
          return port.endsWith('\n')
        },
        () => `Swift to start:\n${log.text}`,
        START_MS,
      )
      const server = new S3Server(Number(port), child, folder)
      await server.#makeBucket()
      return server
    } catch (error) {
      await end(child, folder)
      throw error
    }
  }

  private constructor(port: number, child: ChildProcess, folder: string) {
    this.port = port
    this.#child = child
    this.#folder = folder
  }

  get access(): S3Access {
    return {
      endpoint: `http://127.0.0.1:${this.port}`,
      region: REGION,
      bucket: BUCKET,
      pathStyle: true,
      accessKey: ACCESS_KEY,
      secretKey: SECRET_KEY,
    }
  }

  /** Settings of a server that keeps its files here. */
  get env(): Record<string, string> {
    return {
      WOCHAT_MEDIA_STORAGE: 's3',
      WOCHAT_MEDIA_S3_ENDPOINT: this.access.endpoint,
      WOCHAT_MEDIA_S3_REGION: REGION,
      WOCHAT_MEDIA_S3_BUCKET: BUCKET,
      WOCHAT_MEDIA_S3_ACCESS_KEY: ACCESS_KEY,
      WOCHAT_MEDIA_S3_SECRET_KEY: SECRET_KEY,
    }
  }

  /** From here on requests are answered with 503. */
  async takeDiskAway(): Promise<void> {
    await rename(join(this.#folder, 'disks', 'disk'), join(this.#folder, 'away'))
  }

  async bringDiskBack(): Promise<void> {
    await rename(join(this.#folder, 'away'), join(this.#folder, 'disks', 'disk'))
  }

  async #makeBucket(): Promise<void> {
    const { endpoint, region, accessKey, secretKey } = this.access
    const client = new S3Client({
      endpoint,
      region,
      forcePathStyle: true,
      credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
    })
    const LocationConstraint = region as BucketLocationConstraint
    await client.send(
      new CreateBucketCommand({ Bucket: BUCKET, CreateBucketConfiguration: { LocationConstraint } }),
    )
    client.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await end(this.#child, this.#folder)
  }
}

/** The servers behind the proxy end with it; one of them may still be writing. */
async function end(child: ChildProcess, folder: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
}
