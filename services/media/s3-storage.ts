/**
 * Files in a bucket of S3, or of a storage that speaks its protocol. Each part of an upload is an object, and so is the
 * whole file that they become: an object is there whole or not at all, whatever size parts have.
 */
import type { Readable } from 'node:stream'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { type MediaStorage, MissingObjectError } from './storage.ts'

/** Objects of one page of a listing. */
const PAGE_OBJECTS = 200
const CONNECT_TIMEOUT_MS = 5000
/** Without a byte for this long a request is given up. */
const IDLE_TIMEOUT_MS = 30_000
/** Of a request without a stream. */
const ATTEMPTS = 3
const SILENT = { debug() {}, info() {}, warn() {}, error() {} }

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

export function createS3Storage(settings: S3Settings): MediaStorage {
  const { bucket: Bucket, prefix } = settings
  const client = new S3Client({
    region: settings.region,
    ...(settings.endpoint !== null && { endpoint: settings.endpoint }),
    forcePathStyle: settings.pathStyle,
    credentials: { accessKeyId: settings.accessKey, secretAccessKey: settings.secretKey },
    maxAttempts: ATTEMPTS,
    // Failures are told by rejections; the client's own words would go to the console.
    logger: SILENT,
    // Not every storage knows the newer checksums; files have their SHA-256 anyway.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: CONNECT_TIMEOUT_MS, socketTimeout: IDLE_TIMEOUT_MS },
  })
  const keyOf = (name: string): string => `${prefix}/${name}`

  return {
    async write(name, bytes, body) {
      const stop = new AbortController()
      // A body that breaks off ends the request, so that the storage does not wait for the rest.
      body.on('error', () => stop.abort())
      try {
        await client.send(
          new PutObjectCommand({ Bucket, Key: keyOf(name), Body: body, ContentLength: bytes }),
          { abortSignal: stop.signal },
        )
      } catch (error) {
        body.destroy()
        throw body.errored ?? error
      }
    },

    async read(name, range) {
      const Range = range === undefined ? undefined : `bytes=${range.start}-${range.end}`
      try {
        const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: keyOf(name), Range }))
        return Body as Readable
      } catch (error) {
        throw (error as Error).name === 'NoSuchKey' ? new MissingObjectError(name, { cause: error }) : error
      }
    },

    async remove(name) {
      await client.send(new DeleteObjectCommand({ Bucket, Key: keyOf(name) }))
    },

    async list(after) {
      const answer = await client.send(
        new ListObjectsV2Command({
          Bucket,
          Prefix: `${prefix}/`,
          MaxKeys: PAGE_OBJECTS,
          ...(after !== null && { ContinuationToken: after }),
        }),
      )
      const objects = (answer.Contents ?? []).map(({ Key, LastModified }) => ({
        name: Key!.slice(prefix.length + 1),
        at: LastModified!.getTime(),
      }))
      return { objects, after: answer.NextContinuationToken ?? null }
    },

    async check() {
      await client.send(new HeadBucketCommand({ Bucket }))
    },

    async [Symbol.asyncDispose]() {
      client.destroy()
    },
  }
}
