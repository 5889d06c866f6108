/** The operations of files that need more than the store. */
import { callerOf, type Handler } from '../dispatcher.ts'
import type { MediaLinks } from './links.ts'
import type { MediaService } from './media-service.ts'

type MediaHandlerParts = {
  service: MediaService
  links: MediaLinks
  /** Where clients reach HTTP. */
  httpUrl: () => string
}

export function createMediaHandlers({ service, links, httpUrl }: MediaHandlerParts): {
  'media.complete': Handler<'media.complete'>
  'media.link': Handler<'media.link'>
} {
  return {
    'media.complete': ({ id }, context) => service.complete(callerOf(context).uid, id),
    async 'media.link'({ id }, context) {
      const { uid } = callerOf(context)
      await service.find(uid, id)
      const { path, expiresAt } = links.sign(id, uid)
      return { url: httpUrl() + path, expiresAt }
    },
  }
}
