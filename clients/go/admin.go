package runstore

import (
	"context"
	"iter"
	"strconv"
	"strings"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

const adminPage = 100

// Admin says who may use a server, how much of it, and what was done about that. What it lists and
// changes is the project's, or the server's own where an option says so.
type Admin struct {
	client  *Client
	service runstorev1.AdminServiceClient
}

// Admin returns the tokens, limits, holds, removals, erasures, policies and records of the project and
// of the server.
func (c *Client) Admin() *Admin {
	return &Admin{client: c, service: runstorev1.NewAdminServiceClient(c.conn)}
}

// owner is what a request about the project, or about the server itself, names as the project.
func (a *Admin) owner(ofServer bool) string {
	if ofServer {
		return ""
	}
	return a.client.project
}

// Role is what a grant allows; docs/security.md says which calls.
type Role int32

// The roles.
const (
	RoleRecorder = Role(runstorev1.Role_ROLE_RECORDER)
	RoleReader   = Role(runstorev1.Role_ROLE_READER)
	RoleWriter   = Role(runstorev1.Role_ROLE_WRITER)
	RoleAdmin    = Role(runstorev1.Role_ROLE_ADMIN)
	// RoleOperator has grants for all projects only.
	RoleOperator = Role(runstorev1.Role_ROLE_OPERATOR)
)

// String returns the name in the contract, such as "WRITER".
func (r Role) String() string {
	return strings.TrimPrefix(runstorev1.Role(r).String(), "ROLE_")
}

// Grant is a role in projects.
type Grant struct {
	Role Role
	// ProjectPattern is a project's name, a prefix of names that ends in "/*", or "*".
	ProjectPattern string
}

// String returns the grant as [ParseGrant] takes it.
func (g Grant) String() string {
	return strings.ToLower(g.Role.String()) + "@" + g.ProjectPattern
}

// ParseGrant returns the grant that is written as role@pattern, such as "writer@acme/*".
func ParseGrant(written string) (Grant, error) {
	name, pattern, _ := strings.Cut(written, "@")
	for role := RoleRecorder; role <= RoleOperator; role++ {
		if name == strings.ToLower(role.String()) && pattern != "" {
			return Grant{role, pattern}, nil
		}
	}
	return Grant{}, &InvalidArgumentError{
		"grant", "must be ROLE@PROJECTS with a role of recorder, reader, writer, admin, operator; is " +
			strconv.Quote(written),
	}
}

// PrincipalKind is how a caller has shown who it is.
type PrincipalKind int32

// The kinds of principals.
const (
	// PrincipalAnybody means that the server runs without authentication.
	PrincipalAnybody     = PrincipalKind(runstorev1.PrincipalKind_PRINCIPAL_KIND_ANYBODY)
	PrincipalToken       = PrincipalKind(runstorev1.PrincipalKind_PRINCIPAL_KIND_TOKEN)
	PrincipalJWT         = PrincipalKind(runstorev1.PrincipalKind_PRINCIPAL_KIND_JWT)
	PrincipalCertificate = PrincipalKind(runstorev1.PrincipalKind_PRINCIPAL_KIND_CERTIFICATE)
	// PrincipalDatabase is the command line beside the server, which had the database's URL.
	PrincipalDatabase = PrincipalKind(runstorev1.PrincipalKind_PRINCIPAL_KIND_DATABASE)
	// PrincipalDuty is the server, which does it of its own accord; the ID is the duty.
	PrincipalDuty = PrincipalKind(runstorev1.PrincipalKind_PRINCIPAL_KIND_DUTY)
)

// String returns the name in the contract, such as "TOKEN".
func (k PrincipalKind) String() string {
	return strings.TrimPrefix(runstorev1.PrincipalKind(k).String(), "PRINCIPAL_KIND_")
}

// Principal is who calls.
type Principal struct {
	Kind PrincipalKind
	// ID is the token's id, the JSON Web Token's subject, the name in the certificate, or the duty.
	ID string
	// Issuer is the JSON Web Token's issuer.
	Issuer string
}

// Caller is who the server takes the client for, and what it may do.
type Caller struct {
	Principal Principal
	Grants    []Grant
	// ExpiresAt is zero if the credential does not expire.
	ExpiresAt time.Time
}

// WhoAmI returns who the server takes the client for, and what it may do.
func (a *Admin) WhoAmI(ctx context.Context) (*Caller, error) {
	response, err := send(ctx, a.client, a.service.WhoAmI, &runstorev1.WhoAmIRequest{})
	if err != nil {
		return nil, err
	}
	return &Caller{
		Principal: principalOf(response.Principal),
		Grants:    mapped(response.Grants, grantOf),
		ExpiresAt: timeOf(response.ExpiresAt),
	}, nil
}

// Projects yields the projects that have runs or configs and that the client has a grant for, by
// name. If it fails, the last pair holds the error.
func (a *Admin) Projects(ctx context.Context) iter.Seq2[string, error] {
	return pages(func(token string) ([]string, string, error) {
		response, err := send(ctx, a.client, a.service.ListProjects, &runstorev1.ListProjectsRequest{
			PageSize: adminPage, PageToken: token,
		})
		return response.GetProjects(), response.GetNextPageToken(), err
	})
}

func grantOf(message *runstorev1.Grant) Grant {
	return Grant{Role(message.GetRole()), message.GetProjectPattern()}
}

func grantMessage(grant Grant) *runstorev1.Grant {
	return &runstorev1.Grant{
		Role: runstorev1.Role(grant.Role), ProjectPattern: grant.ProjectPattern,
	}
}

func principalOf(message *runstorev1.Principal) Principal {
	return Principal{PrincipalKind(message.GetKind()), message.GetId(), message.GetIssuer()}
}
