/** Files that messages carry: uploaded in parts over HTTP, read over HTTP by those who may see a message with them. */
import { Type } from 'typebox'
import { LIST_ITEMS_DEFAULT, LIST_ITEMS_MAX } from '../limits.ts'
import { Empty, operation, RequestId, request } from './operation.ts'

const MediaId = Type.String({ pattern: '^[0-9a-f]{32}$', description: 'A file.' })
const Missing = Type.Array(Type.Integer(), {
  description: 'Numbers of the parts that are still to be sent, from 1.',
})

const view = {
  id: Type.String(),
  state: Type.String({ description: '`uploading`, or `ready` when the file is complete and checked.' }),
  name: Type.Optional(Type.String({ description: 'The file name that was given.' })),
  type: Type.String({
    description: 'Media type. Of a file that is ready: as its bytes say, where they do.',
  }),
  bytes: Type.Integer(),
  sha256: Type.String({ description: 'In hexadecimal.' }),
  width: Type.Optional(Type.Integer({ description: 'Of an image, as it is shown, in pixels.' })),
  height: Type.Optional(Type.Integer()),
  thumbnail: Type.Boolean({ description: 'There is a small picture of it: `?thumbnail=1`.' }),
  madeAt: Type.Integer({ description: 'ms since 1970.' }),
}
const upload = {
  partBytes: Type.Integer({ description: 'Bytes of each part but the last, which has the rest.' }),
  parts: Missing,
}
const View = Type.Object({
  ...view,
  parts: Type.Optional(Type.Array(Type.Integer(), { description: 'Of an upload: the missing parts.' })),
  partBytes: Type.Optional(Type.Integer({ description: 'Of an upload.' })),
})

export const mediaOperations = {
  'media.create': operation({
    summary:
      'Begin the upload of a file, or go on with it: the same bytes and SHA-256 that the caller has not finished yet are the same upload.',
    access: 'user',
    mutating: true,
    rate: 'costly',
    params: request({
      name: Type.Optional(Type.String({ minLength: 1, maxLength: 255, description: 'A file name.' })),
      type: Type.Optional(
        Type.String({
          pattern: '^[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}$',
          description: 'Media type, without parameters. The bytes have the last word.',
        }),
      ),
      bytes: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, description: 'Size of the file.' }),
      sha256: Type.String({ pattern: '^[0-9a-f]{64}$', description: 'Of the whole file, in hexadecimal.' }),
      requestId: RequestId,
    }),
    result: Type.Object({
      id: Type.String(),
      ...upload,
      uploadUrl: Type.String({
        description: 'Where a part is PUT, below the address of HTTP; `{part}` is its number, from 1.',
      }),
    }),
    errors: ['too_large', 'media_quota', 'too_many_uploads'],
  }),
  'media.complete': operation({
    summary:
      'Finish an upload: all parts must be there and have the declared SHA-256. Done twice it answers the same.',
    access: 'user',
    mutating: true,
    params: request({ id: MediaId }),
    result: View,
    errors: ['unknown_media', 'media_incomplete', 'media_mismatch', 'media_refused'],
  }),
  'media.get': operation({
    summary: 'What is known of a file that the caller may see.',
    access: 'user',
    mutating: false,
    params: request({ id: MediaId }),
    result: View,
    errors: ['unknown_media'],
  }),
  'media.link': operation({
    summary:
      'A URL of a file that needs no token, for pages and players, for a short time. It ends earlier when the caller may not see the file any more.',
    access: 'user',
    mutating: false,
    params: request({ id: MediaId }),
    result: Type.Object({
      url: Type.String({ description: 'With `&thumbnail=1` added it is that of the thumbnail.' }),
      expiresAt: Type.Integer({ description: 'ms since 1970.' }),
    }),
    errors: ['unknown_media'],
  }),
  'media.list': operation({
    summary: 'Files and uploads of the caller, the newest first.',
    access: 'user',
    mutating: false,
    params: request({
      cursor: Type.Optional(
        Type.String({ pattern: '^[0-9]{1,16}-[0-9a-f]{32}$', description: 'From the page before.' }),
      ),
      limit: Type.Optional(
        Type.Integer({ minimum: 1, maximum: LIST_ITEMS_MAX, default: LIST_ITEMS_DEFAULT }),
      ),
    }),
    result: Type.Object({
      items: Type.Array(Type.Object(view)),
      cursor: Type.Optional(Type.String({ description: 'There is more.' })),
    }),
    errors: [],
  }),
  'media.delete': operation({
    summary: 'Delete a file or an upload of the caller that nothing shows. Done twice it changes nothing.',
    access: 'user',
    mutating: true,
    params: request({ id: MediaId, requestId: RequestId }),
    result: Empty,
    errors: ['media_in_use'],
  }),
  'media.usage': operation({
    summary: 'How much of their quota the caller uses; unfinished uploads count.',
    access: 'user',
    mutating: false,
    params: request({}),
    result: Type.Object({
      bytes: Type.Integer(),
      files: Type.Integer(),
      quotaBytes: Type.Integer({ description: '0 is no limit.' }),
      filesMax: Type.Integer(),
    }),
    errors: [],
  }),
} as const
