/** The options of files that messages carry: where they are kept, how much of them, and for how long. */
import { bytes, choice, count, duration, flag, path, secret, text, url } from './option.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const KB = 1024
const MB = 1024 * KB
const GB = 1024 * MB

export const media = {
  mediaStorage: choice(
    'folder',
    ['folder', 's3'],
    'Where files are kept: in a folder, or in a bucket of S3.',
  ),
  mediaDir: path(
    null,
    'Folder of files, if not `media` in the data folder. A cluster takes files only where it is set, and all nodes must share it.',
  ),
  mediaS3Endpoint: url(
    ['http:', 'https:'],
    'Where the S3-compatible storage is reached; without it AWS itself, in the region.',
  ),
  mediaS3Region: text('us-east-1', 'Region of the bucket.'),
  mediaS3Bucket: text('wochat', 'The bucket, which must be there.'),
  mediaS3Prefix: text('media', 'First part of every key in the bucket.'),
  mediaS3PathStyle: flag(true, 'The bucket is part of the path and not of the host name.'),
  mediaS3AccessKey: secret('Access key of the bucket: reads, writes, deletes and lists.'),
  mediaS3SecretKey: secret('Secret of the access key.'),
  mediaBytesMax: bytes(100 * MB, { min: KB, max: 5 * GB }, 'Largest file.'),
  mediaQuotaBytes: bytes(
    GB,
    { min: 0, max: 1024 * 1024 * GB },
    'Bytes of all files of one account; 0 is no limit.',
  ),
  mediaPartBytes: bytes(
    MB,
    { min: 64 * KB, max: 8 * MB },
    'Size of the parts of an upload; each must arrive within 30 seconds.',
  ),
  mediaUploadsMax: count(8, { min: 1, max: 1000 }, 'uploads', 'Unfinished uploads of one account.'),
  mediaUploadExpiryMs: duration(
    DAY,
    { min: SECOND, max: 365 * DAY },
    'An upload that is not finished after this is deleted.',
  ),
  mediaGraceMs: duration(
    7 * DAY,
    { min: SECOND, max: 3650 * DAY },
    'How old a file must be before it is deleted because nothing refers to it.',
  ),
  mediaSweepMs: duration(
    10 * MINUTE,
    { min: 100, max: DAY },
    'Time between two steps of the search for files that nothing refers to.',
  ),
  mediaLinkTtlMs: duration(10 * MINUTE, { min: SECOND, max: DAY }, 'Life of a signed link to a file.'),
  mediaPixelsMax: count(
    50_000_000,
    { min: 1, max: 1_000_000_000 },
    'pixels',
    'Width times height of the largest image that is taken; it is decoded for its thumbnail.',
  ),
}
