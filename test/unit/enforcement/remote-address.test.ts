import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { addressKey, networkKey } from '@doorward/enforcement'

test('an address of IPv6 is counted as its /64, one of IPv4 as itself', () => {
  equal(addressKey('192.0.2.7'), '192.0.2.7')
  equal(addressKey('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64')
  equal(addressKey('2001:DB8::1'), '2001:db8:0:0::/64')
  equal(addressKey('::1'), '0:0:0:0::/64')
})

test('a network is the /24 of IPv4 and the /48 of IPv6, and what is no address is itself', () => {
  equal(networkKey('192.0.2.7'), '192.0.2.0/24')
  equal(networkKey('192.0.2.255'), networkKey('192.0.2.0'))
  equal(networkKey('2001:db8:1:2:3:4:5:6'), '2001:db8:1::/48')
  equal(networkKey('2001:db8:1:ffff::'), networkKey('2001:db8:1::1'))
  equal(networkKey('unknown'), 'unknown')
})
