/** Files. */
import type { OperationName, Params } from '../../../protocol/catalogue/catalogue.ts'
import { absent, foreign, NO_FILE, passesOver, refuses, type Situation } from './situation.ts'
import type { Town } from './town.ts'
import { beginUpload, putUpload, upload } from './town-files.ts'

type Names = Extract<OperationName, `media.${string}`>

const UPLOADS_MAX = 5
const FILE_BYTES_MAX = 64 * 1024
const FILES_IN_QUOTA = 4

/** Refusals of whoever asks for a file. */
const ofFile = (): Situation<{ id: string }>[] => [
  foreign('id', 'unknown_media', 'of somebody else, who has shown it to others', async (town) => {
    const id = await upload(town, 'anna', `shown ${Math.random()}`)
    const message = { to: town.who('ben'), type: 'file', body: { media: id } }
    await town.do('anna', 'messages.send', message)
    return town.as('stranger', { id })
  }),
  absent('id', 'unknown_media', (town) => town.as('anna', { id: NO_FILE })),
  refuses('unknown_media', 'that the caller has deleted', async (town) => {
    const id = await beginUpload(town, 'anna', Buffer.from(`deleted ${Math.random()}`))
    await town.do('anna', 'media.delete', { id })
    return town.as('anna', { id })
  }),
]

const digest = (text: string) => ({ bytes: 1, sha256: text.repeat(64).slice(0, 64) })

export const fileSituations: { [Name in Names]: Situation<Params<Name>>[] } = {
  'media.create': [
    refuses('too_large', 'larger than a file may be', (town) =>
      town.as('anna', { ...digest('a'), bytes: FILE_BYTES_MAX + 1 }),
    ),
    refuses('media_quota', 'more than an account may keep', async (town) => {
      for (let i = 0; i < FILES_IN_QUOTA; i++) {
        await beginUpload(town, 'hoarder', Buffer.alloc(FILE_BYTES_MAX, `${i}`))
      }
      return town.as('hoarder', digest('b'))
    }),
    refuses('too_many_uploads', 'one more than may be unfinished', async (town) => {
      for (let i = 0; i < UPLOADS_MAX; i++) await beginUpload(town, 'uploader', Buffer.from(`${i}`))
      return town.as('uploader', digest('c'))
    }),
  ],
  'media.complete': [
    ...ofFile(),
    foreign('id', 'unknown_media', 'an upload of somebody else', async (town) => {
      const id = await putUpload(town, 'ben', Buffer.from('an upload of ben'))
      return town.as('anna', { id })
    }),
    refuses('media_incomplete', 'without all of its parts', async (town) =>
      town.as('ben', { id: await beginUpload(town, 'ben', Buffer.from('begun')) }),
    ),
    {
      ...refuses('media_mismatch', 'bytes that are others than declared', async (town: Town) => {
        const bytes = Buffer.from('declared as others')
        return town.as('ben', { id: await putUpload(town, 'ben', bytes, { sha256: 'e'.repeat(64) }) })
      }),
      changes: 'all parts are to be sent again',
    },
    {
      ...refuses('media_refused', 'a page that is declared as a picture', async (town: Town) => {
        const bytes = Buffer.from('<!doctype html><script>alert(1)</script>')
        return town.as('ben', { id: await putUpload(town, 'ben', bytes, { type: 'image/png' }) })
      }),
      changes: 'the file is gone',
    },
  ],
  'media.get': ofFile(),
  'media.link': [
    ...ofFile(),
    refuses('unknown_media', 'of an upload that is not complete', async (town) =>
      town.as('other', { id: await beginUpload(town, 'other', Buffer.from('not complete')) }),
    ),
  ],
  'media.list': [
    foreign('cursor', passesOver({ items: [] }), 'a place in the files of others', (town) =>
      town.as('stranger', { cursor: `1-${NO_FILE}` }),
    ),
  ],
  'media.delete': [
    foreign('id', passesOver(), 'a file of somebody else', async (town) => {
      const id = await upload(town, 'ben', 'kept by ben')
      return town.as('anna', { id })
    }),
    absent('id', passesOver(), (town) => town.as('anna', { id: NO_FILE })),
    refuses('media_in_use', 'one that a message shows', async (town) => {
      const id = await upload(town, 'anna', 'in use')
      const message = { to: town.who('ben'), type: 'file', body: { media: id } }
      await town.do('anna', 'messages.send', message)
      return town.as('anna', { id })
    }),
    refuses('media_in_use', 'one that will be sent later', async (town) => {
      const id = await upload(town, 'anna', 'in use later')
      const message = { to: town.who('ben'), type: 'file', body: { media: id }, at: Date.now() + 3_600_000 }
      await town.do('anna', 'messages.schedule', message)
      return town.as('anna', { id })
    }),
  ],
  'media.usage': [],
}
