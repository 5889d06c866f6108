/**
 * Files in a bucket of S3, or of a storage that speaks its protocol. Each part of an upload is an object, and so is the
 * whole file that they become: an object is there whole or not at all, whatever size parts have.
 */
import type { Readable } from 'node:stream'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import type { Logger } from 'pino'
import { WochatError } from '../../protocol/errors.ts'
import { type MediaStorage, MissingObjectError } from './storage.ts'

/** Objects of one page of a listing. */
const PAGE_OBJECTS = 200
const CONNECT_TIMEOUT_MS = 5000
/** Without a byte for this long a request is given up. */
const IDLE_TIMEOUT_MS = 30_000
/** Of a request without a stream. */
const ATTEMPTS = 3
/** A slow reader holds one, and a file that is put together holds two: a bound would let them wait for each other. */
const SOCKETS = { maxSockets: Number.POSITIVE_INFINITY }
/** Between two warnings of a bucket that does not answer. */
const WARNINGS_MS = 60_000
const TOO_MANY_REQUESTS = 429
const SILENT = { debug() {}, info() {}, warn() {}, error() {} }
/** What a body has by its signature [AWS Signature Version 4]: storages refuse another one. */
const DIGEST_HEADER = 'x-amz-content-sha256'

export type S3Settings = {
  /** Null for AWS itself. */
  endpoint: string | null
  region: string
  bucket: string
  prefix: string
  pathStyle: boolean
  accessKey: string
  secretKey: string
}

/** What the client rejects with: an answer has a status, and a connection that failed a code of the system. */
type Failure = Error & { code?: string; $metadata?: { httpStatusCode?: number; requestId?: string } }

/** While the bucket does not answer, everything is refused with `store_away`, and `log` hears of it. */
export function createS3Storage(settings: S3Settings, log: Pick<Logger, 'warn'>): MediaStorage {
  const { bucket: Bucket, prefix } = settings
  const client = new S3Client({
    region: settings.region,
    ...(settings.endpoint !== null && { endpoint: settings.endpoint }),
    forcePathStyle: settings.pathStyle,
    credentials: { accessKeyId: settings.accessKey, secretAccessKey: settings.secretKey },
    maxAttempts: ATTEMPTS,
    // Failures are told by rejections; the client's own words would go to the console.
    logger: SILENT,
    // Not every storage knows the newer checksums, which are sent behind the body; files have their SHA-256 anyway.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: IDLE_TIMEOUT_MS,
      httpAgent: SOCKETS,
      httpsAgent: SOCKETS,
    },
  })
  const keyOf = (name: string): string => `${prefix}/${name}`

  let warnedAt = Number.NEGATIVE_INFINITY

  /** What to reject with: a refusal that may be tried again if the bucket may answer otherwise then. */
  function asRefusal(error: unknown): Error {
    const failure = error as Failure
    const err = inShort(failure)
    if (!isOutage(failure)) return err
    if (performance.now() - warnedAt > WARNINGS_MS) {
      warnedAt = performance.now()
      log.warn({ err }, 'the bucket of files does not answer')
    }
    return new WochatError('store_away', undefined, { cause: err })
  }
  const refuse = (error: unknown): never => {
    throw asRefusal(error)
  }

  return {
    async write(name, bytes, body, sha256) {
      const stop = new AbortController()
      // A body that breaks off ends the request, so that the storage does not wait for the rest.
      body.on('error', () => stop.abort())
      const put = new PutObjectCommand({ Bucket, Key: keyOf(name), Body: body, ContentLength: bytes })
      if (sha256 !== undefined) declareDigest(put, sha256)
      try {
        await client.send(put, { abortSignal: stop.signal })
      } catch (error) {
        body.destroy()
        throw body.errored ?? asRefusal(error)
      }
    },

    async read(name, range) {
      const Range = range === undefined ? undefined : `bytes=${range.start}-${range.end}`
      try {
        const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: keyOf(name), Range }))
        return Body as Readable
      } catch (error) {
        if ((error as Error).name === 'NoSuchKey') throw new MissingObjectError(name, { cause: error })
        throw asRefusal(error)
      }
    },

    async remove(name) {
      await client.send(new DeleteObjectCommand({ Bucket, Key: keyOf(name) })).catch(refuse)
    },

    async list(after) {
      const answer = await client
        .send(
          new ListObjectsV2Command({
            Bucket,
            Prefix: `${prefix}/`,
            MaxKeys: PAGE_OBJECTS,
            ...(after !== null && { ContinuationToken: after }),
          }),
        )
        .catch(refuse)
      const objects = (answer.Contents ?? []).map(({ Key, LastModified }) => ({
        name: Key!.slice(prefix.length + 1),
        at: LastModified!.getTime(),
      }))
      return { objects, after: answer.NextContinuationToken ?? null }
    },

    /** By a listing: an answer without a body, as of HEAD, would not say what is wrong. */
    async check() {
      await client.send(new ListObjectsV2Command({ Bucket, Prefix: `${prefix}/`, MaxKeys: 1 })).catch(refuse)
    },

    async [Symbol.asyncDispose]() {
      client.destroy()
    },
  }
}

/** Lets the signature hold for a body of this digest only. */
function declareDigest({ middlewareStack }: PutObjectCommand, sha256: string): void {
  middlewareStack.add(
    (next) => (args) => {
      const { headers } = args.request as { headers: Record<string, string> }
      headers[DIGEST_HEADER] = sha256
      return next(args)
    },
    { step: 'build', name: 'declareDigest' },
  )
}

function isOutage({ name, code, $metadata }: Failure): boolean {
  const status = $metadata?.httpStatusCode
  if (status === undefined) return name === 'TimeoutError' || /^E(?!RR_)/.test(code ?? '')
  return status >= 500 || status === TOO_MANY_REQUESTS
}

/** An answer by its name and words: storages add all that they were sent, which is pages of a log. */
function inShort(failure: Failure): Error {
  const { name, message, $metadata: { httpStatusCode, requestId } = {} } = failure
  if (httpStatusCode === undefined) return failure
  return new Error(`the bucket answers ${httpStatusCode} ${name}: ${message} (request ${requestId})`)
}
