/** Logins: codes, tokens and what a device needs to connect. */
import { Type } from 'typebox'
import { DeviceIdSchema, Empty, operation, request, Uid } from './operation.ts'

const Phone = Type.String({
  minLength: 1,
  maxLength: 32,
  description: 'International form, `+8613800000001`.',
})

const Device = request({
  id: DeviceIdSchema,
  kind: Type.Optional(
    Type.String({ maxLength: 32, description: 'phone, tablet, desktop, browser, thing ...' }),
  ),
  name: Type.Optional(Type.String({ maxLength: 64, description: 'What the user calls it.' })),
})

const Endpoints = Type.Object({
  mqtt: Type.String({ description: 'MQTT over TCP or TLS, e.g. `mqtt://host:1883`.' }),
  ws: Type.String({ description: 'MQTT over WebSocket, e.g. `ws://host:8080/mqtt`.' }),
  http: Type.String(),
})

const Tokens = Type.Object({
  uid: Type.String(),
  accessToken: Type.String({ description: 'JWT; the password of MQTT and the bearer of HTTP.' }),
  refreshToken: Type.String({ description: 'Valid once; `auth.refresh` gives the next.' }),
  expiresAt: Type.Integer({ description: 'End of the access token, ms since 1970.' }),
  endpoints: Endpoints,
})

export const authOperations = {
  'auth.requestCode': operation({
    summary: 'Send a login code by SMS. The answer is the same whether the phone is known or not.',
    access: 'public',
    mutating: true,
    params: request({ phone: Phone }),
    result: Type.Object({ expiresAt: Type.Integer({ description: 'End of the code, ms since 1970.' }) }),
    errors: ['bad_phone', 'sms_failed'],
  }),
  'auth.login': operation({
    summary: 'Log a device in with an SMS code. The first login of a phone makes the account.',
    access: 'public',
    mutating: true,
    params: request({
      phone: Phone,
      code: Type.String({ minLength: 1, maxLength: 16 }),
      uid: Type.Optional(Uid),
      device: Device,
    }),
    result: Tokens,
    errors: ['bad_phone', 'bad_code', 'uid_taken', 'uid_fixed', 'too_many_devices', 'account_suspended'],
  }),
  'auth.refresh': operation({
    summary: 'Change a refresh token for new tokens. Using an old one again ends the login.',
    access: 'public',
    mutating: true,
    params: request({ refreshToken: Type.String({ minLength: 1, maxLength: 256 }) }),
    result: Tokens,
    errors: ['bad_refresh', 'refresh_reused', 'account_suspended'],
  }),
  'auth.logout': operation({
    summary: 'End the login of this token; its connection is closed and its offline queue ends.',
    access: 'user',
    mutating: true,
    params: request({}),
    result: Empty,
    errors: ['device_required'],
  }),
  'auth.devices': operation({
    summary: 'The devices of the account.',
    access: 'user',
    mutating: false,
    params: request({}),
    result: Type.Object({
      devices: Type.Array(
        Type.Object({
          id: Type.String(),
          kind: Type.String(),
          name: Type.String(),
          createdAt: Type.Integer(),
          seenAt: Type.Integer({ description: 'Last login or connect, ms since 1970.' }),
          current: Type.Boolean({ description: 'The device that asks.' }),
        }),
      ),
    }),
    errors: [],
  }),
  'auth.revoke': operation({
    summary: 'End every login and session of one device; a live connection is closed within a second.',
    access: 'user',
    mutating: true,
    params: request({ deviceId: DeviceIdSchema }),
    result: Empty,
    errors: [],
  }),
} as const
