/** Every sentence and list item of ADR-OS-025 (zero-trust internal security baseline), by id, in order. */

export const adrOs025 = {
  'OS25-META-1': 'Status: Proposed',
  'OS25-META-2': 'Date: YYYY-MM-DD',
  'OS25-META-3': 'Deciders: [List of decision-makers]',
  'OS25-META-4': 'Reviewed By: [List of reviewers]',
  'OS25-CTX-1':
    'While ADR-OS-018 establishes a strong security baseline for the OS runtime, it does not explicitly mandate a "zero-trust" posture for internal communications.',
  'OS25-CTX-2':
    'Agents and services may implicitly trust calls from within the same network, creating a potential vulnerability if one component is compromised.',
  'OS25-CTX-3':
    'This ADR formalizes a zero-trust model, requiring that no communication is trusted by default, regardless of its origin.',
  'OS25-ASM-1':
    'A lightweight, fast, and secure mechanism for issuing and validating internal access tokens (e.g., JWT, PASETO) is available.',
  'OS25-ASM-2': 'The performance overhead of authenticating and authorizing every internal API call is acceptable.',
  'OS25-ASM-3':
    'Mutual TLS (mTLS) can be practically implemented across all internal services to encrypt traffic and verify service identity.',
  'OS25-ASM-4':
    'The zero-trust security model is robust against token forgery, replay attacks, and certificate compromise.',
  'OS25-ASM-5': 'The system can detect and recover from token/certificate misconfiguration or authority compromise.',
  'OS25-ASM-6':
    'All compliance requirements from referenced ADRs (e.g., ADR-OS-018, ADR-OS-032) are up-to-date and enforced.',
  'OS25-ASM-7':
    'This section was expanded in response to [issue_assumptions.txt](../../issues/issue_assumptions.txt) to surface implicit assumptions and improve framework compliance.',
  'OS25-D1':
    'We will enforce a zero-trust security model for all internal, agent-to-agent, and service-to-service communication.',
  'OS25-D2': 'Authentication: Every internal API request MUST present a valid, short-lived authentication token.',
  'OS25-D3': 'Services MUST validate this token before processing any request.',
  'OS25-D4':
    'Authorization: Services MUST enforce least-privilege access, authorizing the validated token holder to perform only the requested action on the specific resource.',
  'OS25-D5':
    "Encryption: All internal network traffic MUST be encrypted using mutual TLS (mTLS), ensuring both client and server can verify each other's identity.",
  'OS25-CONF-1': 'Confidence: High',
  'OS25-RAT-1': 'Defense in Depth',
  'OS25-RAT-2':
    'Self-critique: A compromised token-issuing authority would be a critical failure point, allowing widespread unauthorized access.',
  'OS25-RAT-3': 'This component must be exceptionally secure.',
  'OS25-CONF-2': 'Confidence: High',
  'OS25-RAT-4': 'Contains Blast Radius',
  'OS25-RAT-5': 'Self-critique: The complexity of managing certificates for mTLS and rotating tokens can be high.',
  'OS25-RAT-6': 'This requires significant automation and robust PKI infrastructure.',
  'OS25-CONF-3': 'Confidence: Medium',
  'OS25-RAT-7': 'Explicit Trust Boundaries',
  'OS25-RAT-8':
    'Self-critique: Moving from implicit trust to explicit zero-trust requires a significant engineering investment and a cultural shift for developers.',
  'OS25-CONF-4': 'Confidence: High',
  'OS25-ALT-1':
    'Network Perimeter Security: Relying on firewalls and network segmentation to secure the internal network.',
  'OS25-ALT-2': 'Brief reason for rejection: This is a classic "castle-and-moat" model.',
  'OS25-ALT-3': 'Once an attacker is inside the perimeter, they can move laterally with little resistance.',
  'OS25-ALT-4': 'It is not sufficient for a modern, dynamic system.',
  'OS25-CONF-5': 'Confidence: High',
  'OS25-ALT-5': 'API Keys: Using static, long-lived API keys for service-to-service authentication.',
  'OS25-ALT-6': 'Brief reason for rejection: Long-lived credentials are a significant security risk.',
  'OS25-ALT-7': 'They are more likely to be leaked and are not easily revocable in case of a breach.',
  'OS25-CONF-6': 'Confidence: High',
  'OS25-CONS-1': 'Positive: Drastically improves the security posture by eliminating implicit trust.',
  'OS25-CONS-2': 'Limits the "blast radius" of a compromised component.',
  'OS25-CONS-3': 'Provides a clear, auditable trail of all internal actions.',
  'OS25-CONS-4': 'Negative: Introduces performance overhead for token validation and mTLS handshakes on every call.',
  'OS25-CONS-5':
    'Increases the complexity of the CI/CD pipeline, which must manage secrets and certificate distribution.',
  'OS25-QST-1': 'What token format (e.g., JWT) and which claims are mandatory for internal authentication?',
  'OS25-QST-2': 'What is the chosen solution for Certificate Authority and automated certificate rotation for mTLS?',
  'OS25-QST-3': 'How are initial "bootstrap" credentials securely delivered to a new agent or service?',
  'OS25-QST-4':
    'This template integrates explicit assumption-surfacing, confidence indicators, self-critiques, and clarifying questions as per ADR-OS-021.',
} as const
