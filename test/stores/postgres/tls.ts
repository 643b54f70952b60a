/** A key and a certificate of a server named `localhost`, made for these tests; they protect nothing. */
export const serverKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgOI4KbLlLzwoXc0fP
J6cHKI5V3/K9dhyMVOUQLBELPdOhRANCAARrtqDlC3yqMlPtjxNAoZPFJlyX/WCc
2SJ4afgbpDrYovqTytxid+oqPPePoCI4qO0PQfpHxLu1i8ODJglPvW08
-----END PRIVATE KEY-----
`;

/** Signed with its own key, until 2126. */
export const serverCertificate = `-----BEGIN CERTIFICATE-----
MIIBlTCCATugAwIBAgIUOafKWj9n5jCa+UMf/IpEFzHQ3fMwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNDE2MjkxM1oYDzIxMjYxMDMx
MTYyOTEzWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARrtqDlC3yqMlPtjxNAoZPFJlyX/WCc2SJ4afgbpDrYovqTytxid+oq
PPePoCI4qO0PQfpHxLu1i8ODJglPvW08o2kwZzAdBgNVHQ4EFgQU981U+JIkW5gv
XVQsf4+vpk/kBaowHwYDVR0jBBgwFoAU981U+JIkW5gvXVQsf4+vpk/kBaowDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
SAAwRQIhAPLaCx1EEiOe+z75fGl6HfvFhC52SiD3EVTJQ8Sx370zAiBlYuf9aqOs
B4SrmqEQwg9cjAbd+xOJksuFjhFErygBEg==
-----END CERTIFICATE-----
`;
