/** Files: where they are kept, who serves them, and what is removed in the background. */
import { join } from 'node:path'
import type { Logger } from 'pino'
import { type Config, ConfigError } from '../config.ts'
import type { Keyring } from '../services/auth/keyring.ts'
import { startBackgroundTask } from '../services/background/background-task.ts'
import { createAbsentStorage } from '../services/media/absent-storage.ts'
import { createFolderStorage } from '../services/media/folder-storage.ts'
import { createImaging } from '../services/media/images.ts'
import { createMediaLinks, type MediaLinks } from '../services/media/links.ts'
import { createMediaService, type MediaService } from '../services/media/media-service.ts'
import { createMediaSweep } from '../services/media/media-sweep.ts'
import type { MediaStorage } from '../services/media/storage.ts'
import type { Store } from '../services/store/contract.ts'

const FOLDER = 'media'

export type Media = { service: MediaService; links: MediaLinks; storage: MediaStorage }

type MediaParts = {
  config: Config
  store: Store
  keys: Keyring
  log: Pick<Logger, 'warn'>
  parts: AsyncDisposableStack
}

/** Rejects with a `ConfigError` when files cannot be kept where the configuration says. */
export async function openMedia({ config, store, keys, log, parts }: MediaParts): Promise<Media> {
  const storage = await openMediaStorage(config, log, parts)
  const imaging = createImaging({ pixelsMax: config.mediaPixelsMax })
  return {
    service: createMediaService({ store, storage, imaging }),
    links: createMediaLinks({ secret: () => keys.codePepper, ttlMs: config.mediaLinkTtlMs }),
    storage,
  }
}

/** The configured storage alone. */
export async function openMediaStorage(
  config: Config,
  log: Pick<Logger, 'warn'>,
  parts: AsyncDisposableStack,
): Promise<MediaStorage> {
  if (config.mediaStorage === 'folder' && config.databaseUrl !== null && config.mediaDir === null) {
    log.warn('no files are taken: name a folder that all nodes share in mediaDir, or use mediaStorage s3')
    return createAbsentStorage()
  }
  const storage = parts.use(await createStorage(config, log))
  if (config.mediaStorage === 's3') {
    // Messages go on without files: a storage that is away does not keep the server from starting.
    await storage
      .check()
      .catch((error: unknown) => log.warn({ err: error }, 'files cannot be kept in the bucket now'))
  } else {
    await storage.check().catch((error: unknown) => {
      const { message } = error as Error
      throw new ConfigError(`WOCHAT_MEDIA_DIR: files cannot be kept there: ${message}`, { cause: error })
    })
  }
  return storage
}

async function createStorage(config: Config, log: Pick<Logger, 'warn'>): Promise<MediaStorage> {
  if (config.mediaStorage === 'folder') {
    const folder = config.mediaDir ?? join(config.dataDir, FOLDER)
    return createFolderStorage({ folder, diskReserveBytes: config.diskReserveBytes })
  }
  // Only here: a server that keeps files in a folder does not load the client.
  const { createS3Storage } = await import('../services/media/s3-storage.ts')
  return createS3Storage(
    {
      endpoint: config.mediaS3Endpoint,
      region: config.mediaS3Region,
      bucket: config.mediaS3Bucket,
      prefix: config.mediaS3Prefix,
      pathStyle: config.mediaS3PathStyle,
      accessKey: config.mediaS3AccessKey!.reveal(),
      secretKey: config.mediaS3SecretKey!.reveal(),
    },
    log,
  )
}

type SweepParts = {
  config: Config
  store: Store
  files: MediaStorage
  log: Logger
  parts: AsyncDisposableStack
}

/** Every node may sweep: what one has removed, another does not find. */
export function sweepMedia({ config, store, files, log, parts }: SweepParts): void {
  const { mediaUploadExpiryMs: uploadExpiryMs, mediaGraceMs: graceMs, mediaSweepMs } = config
  const sweep = createMediaSweep({ store, storage: files, settings: { uploadExpiryMs, graceMs }, log })
  const task = startBackgroundTask({
    name: 'files are swept',
    async step() {
      await sweep.turn()
      return mediaSweepMs
    },
    firstAfterMs: mediaSweepMs,
    retryMs: mediaSweepMs,
    log,
  })
  parts.use(task)
}
