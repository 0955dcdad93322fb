/** The machine's clock. Composition roots hand it out; rules take times as arguments. */

import { epochMillis } from '@doorward/core'
import type { Clock } from '@doorward/core'

export const systemClock: Clock = () => epochMillis(Date.now())
