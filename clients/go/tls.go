package runstore

import (
	"crypto/tls"
	"crypto/x509"
	"os"
)

const (
	caVariable   = "RUNSTORE_CA_FILE"
	certVariable = "RUNSTORE_CLIENT_CERT_FILE"
	keyVariable  = "RUNSTORE_CLIENT_KEY_FILE"
)

// tlsOfEnvironment is TLS with the files that the environment names. The client's certificate is read
// again for each connection.
func tlsOfEnvironment() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if path := os.Getenv(caVariable); path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, &InvalidArgumentError{caVariable, "cannot be read: " + err.Error()}
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &InvalidArgumentError{caVariable, "holds no PEM certificate: " + path}
		}
	}
	cert, key := os.Getenv(certVariable), os.Getenv(keyVariable)
	if (cert == "") != (key == "") {
		return nil, &InvalidArgumentError{
			certVariable, "must be set together with " + keyVariable + ", or neither",
		}
	}
	if cert == "" {
		return config, nil
	}
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		return nil, &InvalidArgumentError{certVariable, "cannot be used: " + err.Error()}
	}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(cert, key)
		return &pair, err
	}
	return config, nil
}
