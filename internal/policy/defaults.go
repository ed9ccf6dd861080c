package policy

import "slices"

// Default is a rule as it is without an operator's overrides.
type Default struct {
	Name string
	// Check is in the rule language.
	Check string
	// ProjectScope refuses tokens that are not of a project (oslo.policy: scope_types ["project"]).
	ProjectScope bool
	// Description says what passing it allows.
	Description string
	// Operations are the requests that ask the rule, "METHOD /path". Helper rules have none.
	Operations []string
}

// before is what a helper rule asked before Magnum 17 (2023.2), which knew no roles but admin. It is or-ed to the rule
// while [Settings.OldDefaults] is set (Magnum 22, policies/base.py: the deprecated rules stand at the helper rules and
// nowhere else).
func before(name string) string {
	switch name {
	case "admin_or_project_reader", "admin_or_project_member", "project_member_deny_cluster_user",
		"admin_or_project_member_deny_cluster_user", "project_reader_deny_cluster_user", "admin_or_project_reader_deny_cluster_user":
		return "is_admin:True or project_id:%(project_id)s"
	case "admin_or_project_member_user", "admin_or_project_member_user_or_cluster_user", "admin_or_project_reader_user",
		"admin_or_project_reader_user_or_cluster_user":
		return "rule:context_is_admin or rule:is_user"
	}
	return ""
}

// The checks of Magnum's rules. An alias means the same as the check without: its cluster_user part went away with
// Magnum's trusts. It keeps its name because an operator's file may replace the rule behind it.
const (
	checkAdmin           = "rule:context_is_admin"
	checkReader          = "rule:admin_or_project_reader"
	checkReaderAlias     = "rule:admin_or_project_reader_deny_cluster_user"
	checkReaderUser      = "rule:admin_or_project_reader_user"
	checkMember          = "rule:admin_or_project_member"
	checkMemberAlias     = "rule:admin_or_project_member_deny_cluster_user"
	checkMemberOnly      = "rule:project_member_deny_cluster_user"
	checkMemberUser      = "rule:admin_or_project_member_user"
	checkMemberUserAlias = "rule:admin_or_project_member_user_or_cluster_user"
)

// For the scope column of the tables: rules that only an administrator passes ask no scope.
const (
	project  = true
	anyScope = false
)

// Defaults gives all of Magnum's rules, helpers first. Magnum master, 2026-07.
func Defaults() []Default {
	return slices.Concat(helperRules(), certificateRules(), clusterRules(), clusterTemplateRules(), nodeGroupRules(), otherRules())
}

func helperRules() []Default {
	return []Default{
		{"context_is_admin", "role:admin", anyScope, "The caller is an administrator of the cloud.", nil},
		{"admin_or_owner", "is_admin:True or project_id:%(project_id)s", anyScope, "An administrator, or anybody in the project.", nil},
		{"admin_or_user", "is_admin:True or user_id:%(user_id)s", anyScope, "An administrator, or the user who owns it.", nil},
		{"is_user", "user_id:%(user_id)s", anyScope, "The user who owns it.", nil},
		{"project_member", "role:member and project_id:%(project_id)s", anyScope, "A member of the project.", nil},
		{"project_reader", "role:reader and project_id:%(project_id)s", anyScope, "A reader of the project.", nil},
		{"admin_or_project_reader", "(rule:context_is_admin) or (rule:project_reader)", anyScope, "An administrator, or a reader of the project.", nil},
		{"admin_or_project_member", "(rule:context_is_admin) or (rule:project_member)", anyScope, "An administrator, or a member of the project.", nil},
		{"admin_or_project_member_user", "(rule:context_is_admin) or ((rule:project_member) and (rule:is_user))", anyScope, "An administrator, or the member of the project who owns it.", nil},
		{"admin_or_project_member_user_or_cluster_user", "(rule:context_is_admin) or ((rule:project_member) and (rule:is_user))", anyScope, "The same as admin_or_project_member_user.", nil},
		{"project_member_deny_cluster_user", "(rule:project_member)", anyScope, "The same as project_member.", nil},
		{"admin_or_project_member_deny_cluster_user", "(rule:context_is_admin) or (rule:project_member)", anyScope, "The same as admin_or_project_member.", nil},
		{"project_reader_deny_cluster_user", "(rule:project_reader)", anyScope, "The same as project_reader.", nil},
		{"admin_or_project_reader_deny_cluster_user", "(rule:context_is_admin) or (rule:project_reader)", anyScope, "The same as admin_or_project_reader.", nil},
		{"admin_or_project_reader_user", "(rule:context_is_admin) or ((rule:project_reader) and (rule:is_user))", anyScope, "An administrator, or the reader of the project who owns it.", nil},
		{"admin_or_project_reader_user_or_cluster_user", "(rule:context_is_admin) or ((rule:project_reader) and (rule:is_user))", anyScope, "The same as admin_or_project_reader_user. Releases before master use it.", nil},
	}
}

func certificateRules() []Default {
	return []Default{
		{
			"certificate:create", checkMemberUser, project, "Have a certificate signed by a cluster's authority.",
			[]string{"POST /v1/certificates"},
		},
		{
			"certificate:get", checkReaderUser, project, "See the certificate of a cluster's authority.",
			[]string{"GET /v1/certificates/{cluster_uuid}"},
		},
		{
			"certificate:rotate_ca", checkMember, project, "Replace a cluster's authority.",
			[]string{"PATCH /v1/certificates/{cluster_uuid}"},
		},
	}
}

func clusterRules() []Default {
	return []Default{
		{
			"cluster:create", checkMemberAlias, project, "Create a cluster.",
			[]string{"POST /v1/clusters"},
		},
		{
			"cluster:delete", checkMemberAlias, project, "Delete a cluster.",
			[]string{"DELETE /v1/clusters/{cluster_ident}"},
		},
		{
			"cluster:delete_all_projects", checkAdmin, anyScope, "Delete a cluster of any project.",
			[]string{"DELETE /v1/clusters/{cluster_ident}"},
		},
		{
			"cluster:detail", checkReaderAlias, project, "List clusters with all fields.",
			[]string{"GET /v1/clusters/detail"},
		},
		{
			"cluster:detail_all_projects", checkAdmin, anyScope, "List the clusters of all projects with all fields.",
			[]string{"GET /v1/clusters/detail"},
		},
		{
			"cluster:get", checkReaderAlias, project, "See a cluster.",
			[]string{"GET /v1/clusters/{cluster_ident}"},
		},
		{
			"cluster:get_one_all_projects", checkAdmin, anyScope, "See a cluster of any project.",
			[]string{"GET /v1/clusters/{cluster_ident}"},
		},
		{
			"cluster:get_all", checkReaderAlias, project, "List clusters.",
			[]string{"GET /v1/clusters"},
		},
		{
			"cluster:get_all_all_projects", checkAdmin, anyScope, "List the clusters of all projects.",
			[]string{"GET /v1/clusters"},
		},
		{
			"cluster:update", checkMemberAlias, project, "Change a cluster.",
			[]string{"PATCH /v1/clusters/{cluster_ident}"},
		},
		{
			"cluster:update_health_status", checkMemberUserAlias, project, "Report the health of a cluster.",
			[]string{"PATCH /v1/clusters/{cluster_ident}"},
		},
		{
			"cluster:update_all_projects", checkAdmin, anyScope, "Change a cluster of any project.",
			[]string{"PATCH /v1/clusters/{cluster_ident}"},
		},
		{
			"cluster:resize", checkMemberAlias, project, "Change the number of a cluster's nodes.",
			[]string{"POST /v1/clusters/{cluster_ident}/actions/resize"},
		},
		{
			"cluster:upgrade", checkMemberAlias, project, "Move a cluster to another cluster template.",
			[]string{"POST /v1/clusters/{cluster_ident}/actions/upgrade"},
		},
		{
			"cluster:upgrade_all_projects", checkAdmin, anyScope, "Move a cluster of any project to another cluster template.",
			[]string{"POST /v1/clusters/{cluster_ident}/actions/upgrade"},
		},
	}
}

func clusterTemplateRules() []Default {
	return []Default{
		{
			"clustertemplate:create", checkMemberAlias, project, "Create a cluster template.",
			[]string{"POST /v1/clustertemplates"},
		},
		{
			"clustertemplate:delete", checkMember, project, "Delete a cluster template.",
			[]string{"DELETE /v1/clustertemplates/{clustertemplate_ident}"},
		},
		{
			"clustertemplate:delete_all_projects", checkAdmin, anyScope, "Delete a cluster template of any project.",
			[]string{"DELETE /v1/clustertemplates/{clustertemplate_ident}"},
		},
		{
			"clustertemplate:detail", checkReaderAlias, project, "List cluster templates with all fields.",
			[]string{"GET /v1/clustertemplates/detail"},
		},
		{
			"clustertemplate:detail_all_projects", checkAdmin, anyScope, "List the cluster templates of all projects with all fields.",
			[]string{"GET /v1/clustertemplates/detail"},
		},
		{
			"clustertemplate:get", checkReaderAlias, project, "See a cluster template.",
			[]string{"GET /v1/clustertemplates/{clustertemplate_ident}"},
		},
		{
			"clustertemplate:get_one_all_projects", checkAdmin, anyScope, "See a cluster template of any project.",
			[]string{"GET /v1/clustertemplates/{clustertemplate_ident}"},
		},
		{
			"clustertemplate:get_all", checkReaderAlias, project, "List cluster templates.",
			[]string{"GET /v1/clustertemplates"},
		},
		{
			"clustertemplate:get_all_all_projects", checkAdmin, anyScope, "List the cluster templates of all projects.",
			[]string{"GET /v1/clustertemplates"},
		},
		{
			"clustertemplate:update", checkMember, project, "Change a cluster template.",
			[]string{"PATCH /v1/clustertemplates/{clustertemplate_ident}"},
		},
		{
			"clustertemplate:update_all_projects", checkAdmin, anyScope, "Change a cluster template of any project.",
			[]string{"PATCH /v1/clustertemplates/{clustertemplate_ident}"},
		},
		{
			"clustertemplate:publish", checkAdmin, anyScope, "Make a cluster template public or hidden.",
			[]string{"POST /v1/clustertemplates", "PATCH /v1/clustertemplates/{clustertemplate_ident}"},
		},
	}
}

func nodeGroupRules() []Default {
	return []Default{
		{
			"nodegroup:get", checkReader, project, "See a node group.",
			[]string{"GET /v1/clusters/{cluster_ident}/nodegroups/{nodegroup_ident}"},
		},
		{
			"nodegroup:get_all", checkReader, project, "List the node groups of a cluster.",
			[]string{"GET /v1/clusters/{cluster_ident}/nodegroups"},
		},
		{
			"nodegroup:get_all_all_projects", checkAdmin, anyScope, "List the node groups of a cluster of any project.",
			[]string{"GET /v1/clusters/{cluster_ident}/nodegroups"},
		},
		{
			"nodegroup:get_one_all_projects", checkAdmin, anyScope, "See a node group of any project.",
			[]string{"GET /v1/clusters/{cluster_ident}/nodegroups/{nodegroup_ident}"},
		},
		{
			"nodegroup:create", checkMember, project, "Create a node group.",
			[]string{"POST /v1/clusters/{cluster_ident}/nodegroups"},
		},
		{
			"nodegroup:delete", checkMember, project, "Delete a node group.",
			[]string{"DELETE /v1/clusters/{cluster_ident}/nodegroups/{nodegroup_ident}"},
		},
		{
			"nodegroup:update", checkMember, project, "Change a node group.",
			[]string{"PATCH /v1/clusters/{cluster_ident}/nodegroups/{nodegroup_ident}"},
		},
	}
}

func otherRules() []Default {
	return []Default{
		{
			"credential:rotate", checkMemberOnly, project, "Replace the credential a cluster uses. Not even an administrator may from another project.",
			[]string{"PATCH /v1/credentials/{cluster_uuid}"},
		},
		{
			"federation:create", checkMemberAlias, project, "Create a federation.",
			[]string{"POST /v1/federations"},
		},
		{
			"federation:delete", checkMemberAlias, project, "Delete a federation.",
			[]string{"DELETE /v1/federations/{federation_ident}"},
		},
		{
			"federation:detail", checkReaderAlias, project, "List federations with all fields.",
			[]string{"GET /v1/federations/detail"},
		},
		{
			"federation:get", checkReaderAlias, project, "See a federation.",
			[]string{"GET /v1/federations/{federation_ident}"},
		},
		{
			"federation:get_all", checkReaderAlias, project, "List federations.",
			[]string{"GET /v1/federations"},
		},
		{
			"federation:update", checkMemberAlias, project, "Change a federation.",
			[]string{"PATCH /v1/federations/{federation_ident}"},
		},
		{
			"magnum-service:get_all", checkAdmin, anyScope, "List the processes of the service.",
			[]string{"GET /v1/mservices"},
		},
		{
			"quota:create", checkAdmin, anyScope, "Set a project's quota.",
			[]string{"POST /v1/quotas"},
		},
		{
			"quota:delete", checkAdmin, anyScope, "Remove a project's quota.",
			[]string{"DELETE /v1/quotas/{project_id}/{resource}"},
		},
		{
			"quota:get", checkReader, project, "See a project's quota.",
			[]string{"GET /v1/quotas/{project_id}/{resource}"},
		},
		{
			"quota:get_all", checkAdmin, anyScope, "List quotas.",
			[]string{"GET /v1/quotas"},
		},
		{
			"quota:update", checkAdmin, anyScope, "Change a project's quota.",
			[]string{"PATCH /v1/quotas/{project_id}/{resource}"},
		},
		{
			"stats:get_all", checkReader, project, "Count clusters and nodes.",
			[]string{"GET /v1/stats"},
		},
	}
}
