package app

import (
	"errors"

	"genba/server/notify"
)

// channel is how messages leave: to the outbox page in a demonstration, else as
// the settings say.
func (a *App) channel() (notify.Channel, error) {
	if a.Config.Demo {
		return notify.Outbox{}, nil
	}
	ways, err := a.Config.channels()
	if err != nil || ways == nil {
		return nil, err
	}
	return *ways, nil
}

// gatewayOf is the gateway that SMS leaves by, which may call back; nil where
// it leaves by none.
func gatewayOf(c notify.Channel) *notify.Gateway {
	ways, _ := c.(notify.Channels)
	g, _ := ways.SMS.(*notify.Gateway)
	return g
}

// linkSecret is how long the secret of a link is.
const linkSecret = 22

// channels are the ways that the settings name; nil where they name none.
func (c *Config) channels() (*notify.Channels, error) {
	var ways notify.Channels
	var faults []error
	if c.SMSGateway != "" {
		g, err := notify.OpenGateway(c.SMSGateway, func() string { return c.PublicURL + notify.CallbackPath })
		ways.SMS = g
		faults = append(faults, err)
	}
	if c.SMTP.Server != "" {
		m, err := notify.NewSMTP(c.SMTP)
		ways.Email = m
		faults = append(faults, err)
	} else if c.SMTP.From != "" || c.SMTP.User != "" || c.SMTP.PasswordFile != "" {
		faults = append(faults, errors.New("smtp-server: is missing, and the other smtp settings are for it"))
	}
	if ways.SMS == nil && ways.Email == nil {
		return nil, errors.Join(faults...)
	}
	if c.Demo {
		faults = append(faults, errors.New("sms-gateway, smtp-server: --demo sends nothing; leave it or them out"))
	}
	return &ways, errors.Join(faults...)
}
