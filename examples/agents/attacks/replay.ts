import { join } from 'node:path'
import { connect } from '@doorward/sdk'
import type { Attack } from './attack.ts'
import { refusedWith } from './attack.ts'

/** Whoever joins gets the identity: a join string admits once, and whoever finds it later is too late. */
export const replay: Attack = {
  name: 'replay',
  holds: 'a join string that was used',
  tries: 'to join as the buyer',
  run: ({ usedJoinString, den }) =>
    connect({ folder: join(den, 'identity'), key: join(den, 'identity.key'), join: { file: usedJoinString } }).then(
      async (identity) => {
        await identity.close()
        return { letThrough: true, code: 'allowed', entry: null }
      },
      refusedWith,
    ),
}
